"""xoscar: actors as objects in one process, called through references."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib.metadata import version as version_of
from typing import Any

import xoscar
from common import LIMIT, MESSAGE, Figures, WrongCount, each, expect, perf_counter, rate, resident, thousands


def version() -> str:
    return f"xoscar {version_of('xoscar')}"


class Shared:
    seen = 0
    total = 0
    done: asyncio.Event


class Counter(xoscar.Actor):
    async def handle(self, message: bytes) -> None:
        Shared.seen += 1
        if Shared.seen == Shared.total:
            Shared.done.set()


class Echo(xoscar.Actor):
    async def handle(self, message: bytes) -> bytes:
        return message


def expecting(total: int) -> None:
    Shared.seen, Shared.total, Shared.done = 0, total, asyncio.Event()


async def wait() -> None:
    await asyncio.wait_for(Shared.done.wait(), LIMIT)
    expect(Shared.seen, Shared.total)


async def start(kind: type[xoscar.Actor], actors: int, address: str) -> list[Any]:
    return [await xoscar.create_actor(kind, address=address, uid=f"actor-{i}") for i in range(actors)]


async def count(messages: int, address: str) -> Figures:
    expecting(messages)
    (ref,) = await start(Counter, 1, address)
    begun = perf_counter()
    for _ in range(messages):
        await ref.handle.tell(MESSAGE)
    await wait()
    return rate(messages, begun)


async def fan(actors: int, address: str) -> Figures:
    expecting(actors)
    refs = await start(Counter, actors, address)
    begun = perf_counter()
    for ref in refs:
        await ref.handle.tell(MESSAGE)
    await wait()
    return rate(actors, begun)


async def spawn(actors: int, address: str) -> Figures:
    expecting(actors)
    begun = perf_counter()
    refs = await start(Counter, actors, address)
    figures = rate(actors, begun)
    for ref in refs:
        await ref.handle.tell(MESSAGE)
    await wait()
    return figures


async def memory(actors: int, address: str) -> Figures:
    expecting(actors)
    before = resident()
    refs = await start(Counter, actors, address)
    for ref in refs:
        await ref.handle.tell(MESSAGE)
    await wait()
    return [(resident() - before) / actors]


async def ping_pong(trips: int, address: str) -> Figures:
    """A call is a message there and back."""
    (ref,) = await start(Echo, 1, address)
    begun, seen = perf_counter(), 0
    for _ in range(trips):
        await ref.handle(MESSAGE)
        seen += 1
    expect(seen, trips)
    return each(trips, begun)


async def ask(trips: int, in_flight: int, address: str) -> Figures:
    trips = max(trips, in_flight)
    (ref,) = await start(Echo, 1, address)
    answered = 0

    async def client(count: int) -> None:
        nonlocal answered
        for _ in range(count):
            if await ref.handle(MESSAGE) != MESSAGE:
                raise WrongCount("a wrong answer")
            answered += 1

    begun = perf_counter()
    await asyncio.gather(*(client(trips // in_flight) for _ in range(in_flight)))
    expect(answered, trips // in_flight * in_flight)
    return thousands(answered, begun)


def in_a_pool(workload: Callable[[int, str], Coroutine[None, None, Figures]]) -> Callable[[int], Figures]:
    """Runs the workload in the process of a pool, where calls between actors are cheapest."""

    async def run(amount: int) -> Figures:
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
        async with pool:
            return await workload(amount, pool.external_address)

    return lambda amount: asyncio.run(run(amount))


WORKLOADS: dict[str, Callable[[int], Figures]] = {
    "py-count": in_a_pool(count),
    "py-fan": in_a_pool(fan),
    "py-spawn": in_a_pool(spawn),
    "py-memory": in_a_pool(memory),
    "py-ping-pong": in_a_pool(ping_pong),
    "py-ask-1": in_a_pool(lambda trips, address: ask(trips, 1, address)),
    "py-ask-100": in_a_pool(lambda trips, address: ask(trips, 100, address)),
}
