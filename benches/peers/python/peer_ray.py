"""Ray: each actor is a process of a local cluster."""

import asyncio
import logging
from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

import ray
from common import MESSAGE, Figures, WrongCount, each, expect, perf_counter, rate, thousands


def version() -> str:
    return f"Ray {version_of('ray')}"


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self) -> None:
        self.seen = 0

    def handle(self, message: bytes) -> None:
        self.seen += 1

    def count(self) -> int:
        return self.seen

    def echo(self, message: bytes) -> bytes:
        return message

    def play(self, other: Any, trips: int) -> int:
        return sum(ray.get(other.echo.remote(MESSAGE)) == MESSAGE for _ in range(trips))


def started() -> Any:
    actor = Counter.remote()
    ray.get(actor.count.remote())
    return actor


def count(messages: int) -> Figures:
    actor = started()
    begun = perf_counter()
    for _ in range(messages):
        actor.handle.remote(MESSAGE)
    expect(ray.get(actor.count.remote()), messages)
    return rate(messages, begun)


def spawn(actors: int) -> Figures:
    begun = perf_counter()
    refs = [Counter.remote() for _ in range(actors)]
    counts = ray.get([ref.count.remote() for ref in refs])
    figures = rate(actors, begun)
    expect(len(counts), actors)
    return figures


def ping_pong(trips: int) -> Figures:
    one, other = started(), started()
    begun = perf_counter()
    expect(ray.get(one.play.remote(other, trips)), trips)
    return each(trips, begun)


async def ask(trips: int, in_flight: int) -> Figures:
    trips = max(trips, in_flight)
    actor = started()
    answered = 0

    async def client(count: int) -> None:
        nonlocal answered
        for _ in range(count):
            if await actor.echo.remote(MESSAGE) != MESSAGE:
                raise WrongCount("a wrong answer")
            answered += 1

    begun = perf_counter()
    await asyncio.gather(*(client(trips // in_flight) for _ in range(in_flight)))
    expect(answered, trips // in_flight * in_flight)
    return thousands(answered, begun)


def in_a_cluster(workload: Callable[[int], Figures]) -> Callable[[int], Figures]:
    def run(amount: int) -> Figures:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            return workload(amount)
        finally:
            ray.shutdown()

    return run


WORKLOADS: dict[str, Callable[[int], Figures]] = {
    "py-count": in_a_cluster(count),
    "py-spawn": in_a_cluster(spawn),
    "py-ping-pong": in_a_cluster(ping_pong),
    "py-ask-1": in_a_cluster(lambda trips: asyncio.run(ask(trips, 1))),
    "py-ask-100": in_a_cluster(lambda trips: asyncio.run(ask(trips, 100))),
}
