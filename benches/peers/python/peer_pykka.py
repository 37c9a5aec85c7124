"""Pykka: each actor is a thread."""

import threading
import time
from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

import pykka
from common import (
    LIMIT,
    MESSAGE,
    Figures,
    WrongCount,
    bursts,
    each,
    expect,
    percentiles,
    perf_counter,
    perf_counter_ns,
    rate,
    rate_of,
    resident,
    thousands,
    until,
)

Ref = pykka.ActorRef[Any]


def version() -> str:
    return f"Pykka {version_of('pykka')}"


class Shared:
    """What the actors of a workload count in."""

    def __init__(self, total: int) -> None:
        self.seen = 0
        self.total = total
        self.lock = threading.Lock()
        self.done = threading.Event()

    def wait(self) -> None:
        self.done.wait(LIMIT)
        expect(self.seen, self.total)


class Counter(pykka.ThreadingActor):
    """The only one that counts: no lock."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self.shared = shared

    def on_receive(self, message: bytes) -> None:
        shared = self.shared
        shared.seen += 1
        if shared.seen == shared.total:
            shared.done.set()


class OneOfMany(Counter):
    def on_receive(self, message: bytes) -> None:
        with self.shared.lock:
            super().on_receive(message)


class Echo(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        if isinstance(message, tuple):
            to, content = message
            to.tell((self.actor_ref, content))
            return None
        return message


class Player(pykka.ThreadingActor):
    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self.shared = shared

    def on_receive(self, message: tuple[Ref, bytes]) -> None:
        other, content = message
        self.shared.seen += 1
        if self.shared.seen == self.shared.total:
            self.shared.done.set()
        else:
            other.tell((self.actor_ref, content))


def count(messages: int) -> Figures:
    shared = Shared(messages)
    tell = Counter.start(shared).tell
    begun = perf_counter()
    for _ in range(messages):
        tell(MESSAGE)
    shared.wait()
    return rate(messages, begun)


def send(messages: int) -> Figures:
    shared = Shared(messages)
    gate, inside = threading.Event(), threading.Event()
    spent = 0

    class Held(Counter):
        def on_receive(self, message: bytes | None) -> None:
            if message is not None:
                super().on_receive(message)
                return
            inside.set()
            gate.wait(LIMIT)
            gate.clear()

    tell = Held.start(shared).tell
    for burst in bursts(messages):
        tell(None)
        inside.wait(LIMIT)
        inside.clear()
        begun, goal = perf_counter_ns(), shared.seen + burst
        for _ in range(burst):
            tell(MESSAGE)
        spent += perf_counter_ns() - begun
        gate.set()
        until(lambda goal=goal: shared.seen == goal, lambda: time.sleep(0.001))
    shared.wait()
    return rate_of(messages, spent)


def fan(actors: int) -> Figures:
    shared = Shared(actors)
    refs = [OneOfMany.start(shared) for _ in range(actors)]
    begun = perf_counter()
    for ref in refs:
        ref.tell(MESSAGE)
    shared.wait()
    return rate(actors, begun)


def spawn(actors: int) -> Figures:
    shared = Shared(actors)
    begun = perf_counter()
    refs = [OneOfMany.start(shared) for _ in range(actors)]
    figures = rate(actors, begun)
    for ref in refs:
        ref.tell(MESSAGE)
    shared.wait()
    return figures


def memory(actors: int) -> Figures:
    shared = Shared(actors)
    before = resident()
    refs = [OneOfMany.start(shared) for _ in range(actors)]
    for ref in refs:
        ref.tell(MESSAGE)
    shared.wait()
    return [(resident() - before) / actors]


def ping_pong(trips: int) -> Figures:
    shared = Shared(trips)
    one, other = Player.start(shared), Echo.start()
    begun = perf_counter()
    other.tell((one, MESSAGE))
    shared.wait()
    return each(trips, begun)


def wake(samples: int) -> Figures:
    waits: list[int] = []
    sent = 0

    class Other(pykka.ThreadingActor):
        def on_receive(self, message: bytes) -> None:
            waits.append(perf_counter_ns() - sent)

    ref = Other.start()
    for _ in range(samples):
        time.sleep(0.001)
        sent = perf_counter_ns()
        ref.tell(MESSAGE)
    ref.stop()
    expect(len(waits), samples)
    return percentiles(waits)


def ask(trips: int, in_flight: int) -> Figures:
    """Pykka's futures are waited for by blocking."""
    ref = Echo.start()
    answered, begun = 0, perf_counter()
    while answered < trips:
        futures = [ref.ask(MESSAGE, block=False) for _ in range(min(in_flight, trips - answered))]
        for future in futures:
            if future.get(timeout=LIMIT) != MESSAGE:
                raise WrongCount("a wrong answer")
            answered += 1
    return thousands(answered, begun)


def stopping(workload: Callable[[int], Figures]) -> Callable[[int], Figures]:
    def run(amount: int) -> Figures:
        try:
            return workload(amount)
        finally:
            pykka.ActorRegistry.stop_all()

    return run


WORKLOADS: dict[str, Callable[[int], Figures]] = {
    "py-count": stopping(count),
    "py-send": stopping(send),
    "py-fan": stopping(fan),
    "py-spawn": stopping(spawn),
    "py-memory": stopping(memory),
    "py-ping-pong": stopping(ping_pong),
    "py-wake": stopping(wake),
    "py-ask-1": stopping(lambda trips: ask(trips, 1)),
    "py-ask-100": stopping(lambda trips: ask(trips, 100)),
}
