"""asyncio: a task with a queue for each actor, all in one loop."""

import asyncio
import platform
import threading
import time
from collections.abc import Callable, Coroutine

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
)

Queue = asyncio.Queue[bytes]


def version() -> str:
    return f"asyncio of Python {platform.python_version()}"


class Counter:
    """Counts what its actors handle; tells when it has seen it all."""

    def __init__(self, total: int) -> None:
        self.seen = 0
        self.total = total
        self.done = asyncio.Event()

    async def serve(self, queue: Queue) -> None:
        while True:
            await queue.get()
            self.seen += 1
            if self.seen == self.total:
                self.done.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self.done.wait(), LIMIT)
        expect(self.seen, self.total)


async def count(messages: int) -> Figures:
    counter, queue = Counter(messages), Queue()
    actor = asyncio.create_task(counter.serve(queue))
    begun = perf_counter()
    for left in range(messages, 0, -1000):
        for _ in range(min(left, 1000)):
            queue.put_nowait(MESSAGE)
        await asyncio.sleep(0)
    await counter.wait()
    figures = rate(messages, begun)
    actor.cancel()
    return figures


async def send(messages: int) -> Figures:
    counter, queue = Counter(messages), Queue()
    actor = asyncio.create_task(counter.serve(queue))
    await asyncio.sleep(0)
    spent = 0
    for burst in bursts(messages):
        begun = perf_counter_ns()
        for _ in range(burst):
            queue.put_nowait(MESSAGE)
        spent += perf_counter_ns() - begun
        await asyncio.sleep(0)
    await counter.wait()
    actor.cancel()
    return rate_of(messages, spent)


async def started(counter: Counter, actors: int) -> tuple[list[Queue], list[asyncio.Task[None]]]:
    queues = [Queue() for _ in range(actors)]
    tasks = [asyncio.create_task(counter.serve(queue)) for queue in queues]
    await asyncio.sleep(0)
    return queues, tasks


async def fan(actors: int) -> Figures:
    counter = Counter(actors)
    queues, tasks = await started(counter, actors)
    begun = perf_counter()
    for queue in queues:
        queue.put_nowait(MESSAGE)
    await counter.wait()
    figures = rate(actors, begun)
    for task in tasks:
        task.cancel()
    return figures


async def spawn(actors: int) -> Figures:
    counter = Counter(actors)
    begun = perf_counter()
    queues, tasks = await started(counter, actors)
    figures = rate(actors, begun)
    for queue in queues:
        queue.put_nowait(MESSAGE)
    await counter.wait()
    for task in tasks:
        task.cancel()
    return figures


async def memory(actors: int) -> Figures:
    counter = Counter(actors)
    before = resident()
    queues, tasks = await started(counter, actors)
    for queue in queues:
        queue.put_nowait(MESSAGE)
    await counter.wait()
    figures = [(resident() - before) / actors]
    for task in tasks:
        task.cancel()
    return figures


async def ping_pong(trips: int) -> Figures:
    one, other = Queue(), Queue()

    async def pong() -> None:
        while True:
            one.put_nowait(await other.get())

    actor = asyncio.create_task(pong())
    begun, seen = perf_counter(), 0
    for _ in range(trips):
        other.put_nowait(MESSAGE)
        await one.get()
        seen += 1
    expect(seen, trips)
    actor.cancel()
    return each(trips, begun)


async def wake(samples: int) -> Figures:
    """Another thread sends, as ours does; a queue of asyncio must be reached through the loop."""
    loop, queue = asyncio.get_running_loop(), Queue()
    waits: list[int] = []
    sent = 0

    def feed() -> None:
        nonlocal sent
        for _ in range(samples):
            time.sleep(0.001)
            sent = perf_counter_ns()
            loop.call_soon_threadsafe(queue.put_nowait, MESSAGE)

    thread = threading.Thread(target=feed)
    thread.start()
    for _ in range(samples):
        await queue.get()
        waits.append(perf_counter_ns() - sent)
    thread.join()
    expect(len(waits), samples)
    return percentiles(waits)


async def ask(trips: int, in_flight: int) -> Figures:
    trips = max(trips, in_flight)
    requests: asyncio.Queue[tuple[bytes, asyncio.Future[bytes]]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    answered = 0

    async def serve() -> None:
        while True:
            message, answer = await requests.get()
            answer.set_result(message)

    async def client(count: int) -> None:
        nonlocal answered
        for _ in range(count):
            answer = loop.create_future()
            requests.put_nowait((MESSAGE, answer))
            if await answer != MESSAGE:
                raise WrongCount("a wrong answer")
            answered += 1

    actor = asyncio.create_task(serve())
    begun = perf_counter()
    await asyncio.gather(*(client(trips // in_flight) for _ in range(in_flight)))
    expect(answered, trips // in_flight * in_flight)
    actor.cancel()
    return thousands(answered, begun)


async def fairness(rounds: int) -> Figures:
    others = 1000
    sent = [0] * others
    waits: list[int] = []
    busy = Queue()

    async def greedy() -> None:
        while True:
            busy.put_nowait(await busy.get())
            # A get from a queue that is not empty never lets others run.
            await asyncio.sleep(0)

    async def other(index: int, queue: Queue) -> None:
        while True:
            await queue.get()
            waits.append(perf_counter_ns() - sent[index])

    queues = [Queue() for _ in range(others)]
    tasks = [asyncio.create_task(other(index, queue)) for index, queue in enumerate(queues)]
    tasks.append(asyncio.create_task(greedy()))
    for _ in range(1000):
        busy.put_nowait(MESSAGE)
    for done in range(1, rounds + 1):
        for index, queue in enumerate(queues):
            sent[index] = perf_counter_ns()
            queue.put_nowait(MESSAGE)
        await asyncio.sleep(0.01)
        while len(waits) < done * others:
            await asyncio.sleep(0.001)
    expect(len(waits), rounds * others)
    for task in tasks:
        task.cancel()
    return percentiles(waits)


def in_a_loop(workload: Callable[[int], Coroutine[None, None, Figures]]) -> Callable[[int], Figures]:
    return lambda amount: asyncio.run(workload(amount))


WORKLOADS: dict[str, Callable[[int], Figures]] = {
    "py-count": in_a_loop(count),
    "py-send": in_a_loop(send),
    "py-fan": in_a_loop(fan),
    "py-spawn": in_a_loop(spawn),
    "py-memory": in_a_loop(memory),
    "py-ping-pong": in_a_loop(ping_pong),
    "py-wake": in_a_loop(wake),
    "py-ask-1": in_a_loop(lambda trips: ask(trips, 1)),
    "py-ask-100": in_a_loop(lambda trips: ask(trips, 100)),
    "py-ask-loop": in_a_loop(lambda trips: ask(trips, 1)),
    "py-ask-loop-100": in_a_loop(lambda trips: ask(trips, 100)),
    "py-fairness": in_a_loop(fairness),
}
