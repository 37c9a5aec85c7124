"""What type checkers must understand, and what they must refuse. Read by `test_typing.py`, never run.

Each line that is to be refused says so to both; one that they accept fails as an unused excuse.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

import asyncio
import sys
from dataclasses import dataclass

from typing_extensions import assert_type

import myrmidon
from myrmidon import Actor, ActorInfo, ActorRef, Bounded, Child, ExitReason, Options, Runtime, Supervisor


@myrmidon.message(tag="typing.point")
@dataclass
class Point:
    x: int


class Counter(Actor, raises=(ValueError,), options=Options(mailbox=Bounded(10, policy="drop_old"))):
    def __init__(self, total: int, step: int = 1) -> None:
        self.total = total
        self.step = step

    def add(self, number: int, *, twice: bool = False) -> int:
        return self.total + number * (1 + twice)

    async def slow(self, point: Point) -> str:
        return str(point)

    def reset(self) -> None: ...


class Opened(Actor):
    async def started(self) -> None: ...

    async def exited(self, event: myrmidon.PySystemMessage) -> None: ...

    def total(self) -> int:
        return 1


class Wider(Counter):
    def widen(self) -> list[int]:
        return []


async def calls(rt: Runtime) -> None:
    counter = rt.start(Counter, 10, step=2)
    assert_type(counter, ActorRef[Counter])
    assert_type(await counter.call(Counter.add, 3, twice=True), int)
    assert_type(await counter.call(Counter.slow, Point(1)), str)
    assert_type(counter.call_sync(Counter.slow, Point(1)), str)
    assert_type(counter.call_sync(Counter.add, 3), int)
    assert_type(await counter.call(Counter.reset), None)
    assert_type(counter.cast(Counter.add, 3), bool)
    assert_type(counter.cast_after(0.5, Counter.reset), int)
    assert_type(counter.with_timeout(1.0), ActorRef[Counter])
    assert_type(counter.upgrade(Wider, 1), ActorRef[Wider])
    assert_type(counter.join(), ExitReason)
    assert_type(rt.start_with(Options(name="wider"), Wider, 3), ActorRef[Wider])
    assert_type(ActorRef(rt, 12, Wider).call_sync(Wider.widen), list[int])
    assert_type(ActorRef(rt, 12, Wider).call_sync(Counter.add, 1), int)
    assert_type(await rt.ask(counter.pid, b"x"), bytes)


async def asks(rt: Runtime, pid: int) -> None:
    assert_type(await rt.ask(pid, b"x"), bytes)
    answers = await asyncio.gather(*(rt.ask(pid, b"%d" % number) for number in range(3)))
    assert_type(answers, list[bytes])
    one, two = await asyncio.gather(rt.ask(pid, b"x"), rt.ask(pid, b"y"))
    assert_type((one, two), tuple[bytes, bytes])
    answer = await asyncio.wait_for(rt.ask(pid, b"x"), 1)
    assert_type(answer, bytes)
    task = asyncio.create_task(rt.ask(pid, b"x"))
    assert_type(task, asyncio.Task[bytes])
    future = asyncio.ensure_future(rt.ask(pid, b"x"))
    assert_type(await asyncio.shield(future), bytes)
    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:
            of_group = group.create_task(rt.ask(pid, b"x"))
        assert_type(of_group.result(), bytes)
    asyncio.run(rt.ask(pid, b"x"))
    assert_type(await rt.join_py(pid), ExitReason)
    assert_type(await asyncio.create_task(rt.send_blocking_py(pid, b"x")), bool)
    assert_type(await rt.supervise_py(myrmidon.one_for_one([])), Supervisor)


async def refused_calls(rt: Runtime, counter: ActorRef[Counter]) -> None:
    rt.start(Counter)  # type: ignore[call-arg]
    rt.start(Counter, "10")  # type: ignore[arg-type]
    rt.start(Point, 1)  # type: ignore[type-var]
    await counter.call(Counter.add)  # type: ignore[call-overload]
    await counter.call(Counter.add, "3")  # type: ignore[call-overload]
    counter.cast(Counter.add, 1, thrice=True)  # type: ignore[call-arg]
    counter.cast(Wider.widen)  # type: ignore[arg-type]
    counter.pid = "x"  # type: ignore[assignment]


def supervision(rt: Runtime) -> None:
    child = Child.of(Counter, 10)
    assert_type(child.but(restart="transient"), Child)
    tree = myrmidon.one_for_one([child, myrmidon.worker(print), Child(lambda rt: rt.spawn(print)), Child(child_of)])
    assert_type(rt.supervise(tree), Supervisor)
    assert_type(rt.supervise(tree).start_child(child), int)
    Child.of(Counter, "10")  # type: ignore[arg-type]
    myrmidon.worker(print, restart="never")  # type: ignore[arg-type]


def child_of(rt: Runtime) -> ActorRef[Counter]:
    return rt.start(Counter, 1)


def looking(rt: Runtime, pid: int) -> None:
    assert_type(rt.info(pid), ActorInfo | None)
    assert_type(rt.top(3), list[ActorInfo])
    assert_type(rt.top(by="run_time", within=0.1)[0].run_time, float)
    rt.top(by="memory")  # type: ignore[arg-type]
    assert_type(rt.names("/svc/"), dict[str, int])
    with rt.on_dead_letter(lambda letter: assert_type(letter.message, bytes | None)):
        pass
    rt.spawn(print, priority="urgent")  # type: ignore[arg-type]
    Bounded(1, policy="drop")  # type: ignore[arg-type]


def blocks() -> None:
    with Runtime() as rt:
        assert_type(rt, Runtime)
