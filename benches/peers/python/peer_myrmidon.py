"""Ours."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import myrmidon
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


def version() -> str:
    return f"Myrmidon {myrmidon.version()}"


class Counter:
    """Handles messages; tells when it has seen them all."""

    def __init__(self, total: int) -> None:
        self.seen = 0
        self.total = total
        self.done = threading.Event()

    def __call__(self, message: bytes) -> None:
        self.seen += 1
        if self.seen == self.total:
            self.done.set()

    def wait(self) -> None:
        self.done.wait(LIMIT)
        expect(self.seen, self.total)


def counting(total: int) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """A plain function that counts, and what waits for the last message."""
    seen = 0
    done = threading.Event()

    def handler(message: bytes) -> None:
        nonlocal seen
        seen += 1
        if seen == total:
            done.set()

    def wait() -> None:
        done.wait(LIMIT)
        expect(seen, total)

    return handler, wait


def count(messages: int) -> Figures:
    handler, wait = counting(messages)
    with myrmidon.Runtime() as rt:
        pid, send = rt.spawn(handler), rt.send
        begun = perf_counter()
        for _ in range(messages):
            send(pid, MESSAGE)
        wait()
        return rate(messages, begun)


def count_object(messages: int) -> Figures:
    counter = Counter(messages)
    with myrmidon.Runtime() as rt:
        pid, send = rt.spawn(counter), rt.send
        begun = perf_counter()
        for _ in range(messages):
            send(pid, MESSAGE)
        counter.wait()
        return rate(messages, begun)


def send_many(messages: int) -> Figures:
    handler, wait = counting(messages)
    with myrmidon.Runtime() as rt:
        pid = rt.spawn(handler)
        batch = [MESSAGE] * min(1000, messages)
        begun, sent = perf_counter(), 0
        while sent < messages:
            sent += rt.send_many(pid, batch[: messages - sent])
        wait()
        return rate(messages, begun)


def send(messages: int) -> Figures:
    """The calls alone: another actor keeps the lane waiting meanwhile."""
    counter = Counter(messages)
    gate, inside = threading.Event(), threading.Event()
    spent = 0

    def hold(message: bytes) -> None:
        inside.set()
        gate.wait(LIMIT)
        gate.clear()

    with myrmidon.Runtime() as rt:
        holder, pid, send = rt.spawn(hold), rt.spawn(counter), rt.send
        for burst in bursts(messages):
            send(holder, MESSAGE)
            inside.wait(LIMIT)
            inside.clear()
            begun = perf_counter_ns()
            for _ in range(burst):
                send(pid, MESSAGE)
            spent += perf_counter_ns() - begun
            gate.set()
            until(lambda: rt.mailbox_size(pid) == 0, lambda: time.sleep(0.001))
        counter.wait()
        return rate_of(messages, spent)


def fan(actors: int) -> Figures:
    handler, wait = counting(actors)
    with myrmidon.Runtime() as rt:
        pids = [rt.spawn(handler) for _ in range(actors)]
        send = rt.send
        begun = perf_counter()
        for pid in pids:
            send(pid, MESSAGE)
        wait()
        return rate(actors, begun)


def spawn(actors: int) -> Figures:
    handler, wait = counting(actors)
    with myrmidon.Runtime() as rt:
        spawn = rt.spawn
        begun = perf_counter()
        pids = [spawn(handler) for _ in range(actors)]
        figures = rate(actors, begun)
        for pid in pids:
            rt.send(pid, MESSAGE)
        wait()
        return figures


def memory(actors: int) -> Figures:
    handler, wait = counting(actors)
    with myrmidon.Runtime() as rt:
        pids: list[int] = [0] * actors
        numbers = [rt.spawn(print) for _ in range(100)]
        before = resident()
        for index in range(actors):
            pids[index] = rt.spawn(handler)
        for pid in pids:
            rt.send(pid, MESSAGE)
        wait()
        del numbers
        # The list holds a Python integer for each actor, which is the bench's and not the actor's.
        integers = sum(pid.__sizeof__() for pid in pids)
        return [(resident() - before - integers) / actors]


def ping_pong(trips: int) -> Figures:
    done = threading.Event()
    left = trips
    with myrmidon.Runtime() as rt:
        send = rt.send

        def ping(message: bytes) -> None:
            nonlocal left
            left -= 1
            if left:
                send(other, message)
            else:
                done.set()

        def pong(message: bytes) -> None:
            send(one, message)

        one, other = rt.spawn(ping), rt.spawn(pong)
        begun = perf_counter()
        send(other, MESSAGE)
        done.wait(LIMIT)
        expect(trips - left, trips)
        return each(trips, begun)


def wake(samples: int) -> Figures:
    """An idle actor gets a message each millisecond from a thread that sleeps in between."""
    waits: list[int] = []
    sent = 0
    with myrmidon.Runtime() as rt:

        def handler(message: bytes) -> None:
            waits.append(perf_counter_ns() - sent)

        pid = rt.spawn(handler)
        for _ in range(samples):
            time.sleep(0.001)
            sent = perf_counter_ns()
            rt.send(pid, MESSAGE)
        until(lambda: len(waits) >= samples, lambda: time.sleep(0.001))
    expect(len(waits), samples)
    return percentiles(waits)


def hot_swap(swaps: int) -> Figures:
    def old(message: bytes) -> None:
        pass

    def new(message: bytes) -> None:
        pass

    with myrmidon.Runtime() as rt:
        pid = rt.spawn(old)
        swap = rt.hot_swap
        begun = perf_counter()
        for _ in range(swaps // 2):
            swap(pid, new)
            swap(pid, old)
        figures = rate(swaps // 2 * 2, begun)
        expect(rt.version(pid) or 0, swaps // 2 * 2 + 1)
        return figures


def ask_one(trips: int) -> Figures:
    return asyncio.run(ask(trips, 1, plain))


def ask_hundred(trips: int) -> Figures:
    return asyncio.run(ask(trips, 100, plain))


def ask_loop(trips: int) -> Figures:
    return asyncio.run(ask(trips, 1, in_loop))


def ask_loop_hundred(trips: int) -> Figures:
    return asyncio.run(ask(trips, 100, in_loop))


def plain(message: bytes) -> bytes:
    return message


async def in_loop(message: bytes) -> bytes:
    return message


async def ask(trips: int, in_flight: int, handler: Callable[[bytes], object]) -> Figures:
    trips = max(trips, in_flight)
    async with myrmidon.Runtime() as rt:
        pid = rt.spawn(handler)
        answered = 0

        async def client(count: int) -> None:
            nonlocal answered
            for _ in range(count):
                if await rt.ask(pid, MESSAGE) != MESSAGE:
                    raise WrongCount("a wrong answer")
                answered += 1

        begun = perf_counter()
        await asyncio.gather(*(client(trips // in_flight) for _ in range(in_flight)))
        expect(answered, trips // in_flight * in_flight)
        return thousands(answered, begun)


def fairness(rounds: int) -> Figures:
    """A thousand actors get a message every ten milliseconds, beside one that always has some."""
    others = 1000
    sent = [0] * others
    waits: list[int] = []
    over = False
    with myrmidon.Runtime() as rt:

        def greedy(message: bytes) -> None:
            if not over:
                rt.send(busy, message)

        def other(index: int) -> Callable[[bytes], None]:
            return lambda message: waits.append(perf_counter_ns() - sent[index])

        busy = rt.spawn(greedy)
        pids = [rt.spawn(other(index)) for index in range(others)]
        for _ in range(1000):
            rt.send(busy, MESSAGE)
        for done in range(1, rounds + 1):
            for index, pid in enumerate(pids):
                sent[index] = perf_counter_ns()
                rt.send(pid, MESSAGE)
            time.sleep(0.01)
            until(lambda: len(waits) >= done * others, lambda: time.sleep(0.001))
        over = True
    expect(len(waits), rounds * others)
    return percentiles(waits)


# A node that prints its address, and whose handlers are never idle if it is told so.
NODE = """
import sys
import myrmidon

with myrmidon.Runtime() as rt:

    def greedy(message):
        rt.send(busy, message)

    busy = rt.spawn(greedy)
    if sys.argv[1] == "busy":
        rt.send_many(busy, [bytes(64)] * 1000)
    print(rt.listen("127.0.0.1:0"), flush=True)
    sys.stdin.read()
    rt.kill(busy)
"""


def ping(samples: int, state: str) -> Figures:
    """Another process pings the node, whose workers answer."""
    waits: list[int] = []
    command = [sys.executable, "-c", NODE, state]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node,
        myrmidon.Runtime() as rt,
    ):
        assert node.stdin and node.stdout
        addr = node.stdout.readline().strip()
        rt.is_node_up(addr)
        for _ in range(samples):
            time.sleep(0.001)
            sent = perf_counter_ns()
            if rt.is_node_up(addr):
                waits.append(perf_counter_ns() - sent)
        node.stdin.close()
    expect(len(waits), samples)
    return percentiles(waits)


WORKLOADS: dict[str, Callable[[int], Figures]] = {
    "py-count": count,
    "py-count-object": count_object,
    "py-send-many": send_many,
    "py-send": send,
    "py-fan": fan,
    "py-spawn": spawn,
    "py-memory": memory,
    "py-ping-pong": ping_pong,
    "py-wake": wake,
    "py-hot-swap": hot_swap,
    "py-fairness": fairness,
    "py-ping-idle": lambda samples: ping(samples, "idle"),
    "py-ping-busy": lambda samples: ping(samples, "busy"),
}

if hasattr(myrmidon.Runtime, "ask"):
    WORKLOADS |= {
        "py-ask-1": ask_one,
        "py-ask-100": ask_hundred,
        "py-ask-loop": ask_loop,
        "py-ask-loop-100": ask_loop_hundred,
    }
