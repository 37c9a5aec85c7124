"""Thespian: each actor is a process, reached over TCP."""

import socket
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version as version_of
from typing import Any

from common import LIMIT, MESSAGE, Figures, WrongCount, each, expect, perf_counter, rate, thousands
from thespian.actors import Actor, ActorSystem

PATIENCE = timedelta(seconds=LIMIT)


def version() -> str:
    return f"Thespian {version_of('thespian')}"


class Counter(Actor):  # type: ignore[misc]
    """Counts messages, and says how many when asked with a number."""

    seen = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, str):
            self.send(sender, self.seen)
        else:
            self.seen += 1


class Echo(Actor):  # type: ignore[misc]
    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, bytes):
            self.send(sender, message)


class Player(Actor):  # type: ignore[misc]
    """Plays so many trips with another, and then tells who began it."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple):
            self.other, self.left = message
            self.judge = sender
            self.send(self.other, MESSAGE)
        elif isinstance(message, bytes):
            self.left -= 1
            if self.left:
                self.send(self.other, message)
            else:
                self.send(self.judge, "done")


def count(messages: int, system: Any) -> Figures:
    actor = system.createActor(Counter)
    begun = perf_counter()
    for _ in range(messages):
        system.tell(actor, MESSAGE)
    expect(system.ask(actor, "how many", PATIENCE), messages)
    return rate(messages, begun)


def spawn(actors: int, system: Any) -> Figures:
    begun = perf_counter()
    refs = [system.createActor(Echo) for _ in range(actors)]
    answers = [system.ask(ref, MESSAGE, PATIENCE) for ref in refs]
    figures = rate(actors, begun)
    expect(answers.count(MESSAGE), actors)
    return figures


def ping_pong(trips: int, system: Any) -> Figures:
    one, other = system.createActor(Player), system.createActor(Echo)
    begun = perf_counter()
    if system.ask(one, (other, trips), PATIENCE) != "done":
        raise WrongCount("not all trips were made")
    return each(trips, begun)


def ask(trips: int, system: Any) -> Figures:
    actor = system.createActor(Echo)
    begun, answered = perf_counter(), 0
    for _ in range(trips):
        if system.ask(actor, MESSAGE, PATIENCE) != MESSAGE:
            raise WrongCount("a wrong answer")
        answered += 1
    return thousands(answered, begun)


def free_port() -> int:
    """A port of this system's own, so that no system of another run is met."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_a_system(workload: Callable[[int, Any], Figures]) -> Callable[[int], Figures]:
    def run(amount: int) -> Figures:
        system = ActorSystem("multiprocTCPBase", {"Admin Port": free_port()}, logDefs={"version": 1})
        try:
            return workload(amount, system)
        finally:
            system.shutdown()

    return run


WORKLOADS: dict[str, Callable[[int], Figures]] = {
    "py-count": in_a_system(count),
    "py-spawn": in_a_system(spawn),
    "py-ping-pong": in_a_system(ping_pong),
    "py-ask-1": in_a_system(ask),
}
