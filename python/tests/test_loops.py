"""Event loops that stand still, run again, are closed by hand, or are left to the collector."""

import asyncio
import gc
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator

import pytest
from support import Inbox, eventually, run_program

from myrmidon import Runtime, errors
from myrmidon.mailbox import AsyncMailbox


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    if not made.is_closed():
        for task in asyncio.all_tasks(made):
            task.cancel()
        made.run_until_complete(asyncio.sleep(0))
        made.close()


class Gated:
    """A handler that answers once it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()

    def __call__(self, message: bytes) -> bytes:
        self.begun.set()
        self.gate.wait(20)
        return message


def answered(rt: Runtime, pid: int) -> None:
    """Waits until an actor has done what it was sent."""
    eventually(lambda: (info := rt.info(pid)) is None or info.idle)


def begin(loop: asyncio.AbstractEventLoop, rt: Runtime, pid: int, timeout: float | None) -> "asyncio.Task[bytes]":
    """Has the loop ask, and stand still before there is an answer."""

    async def ask() -> bytes:
        return await rt.ask(pid, b"x", timeout=timeout)

    async def start() -> "asyncio.Task[bytes]":
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        return task

    task = loop.run_until_complete(start())
    assert not task.done()
    return task


def test_an_ask_of_a_loop_that_stands_still_goes_on_when_it_runs_again(rt, loop):
    gated = Gated()
    pid = rt.spawn(gated, blocking=True)
    task = begin(loop, rt, pid, None)
    gated.gate.set()
    answered(rt, pid)
    assert not task.done()
    assert loop.run_until_complete(asyncio.wait_for(task, 20)) == b"x"


def test_an_answer_that_came_in_time_counts_though_the_loop_comes_to_it_later(rt, loop):
    gated = Gated()
    pid = rt.spawn(gated, blocking=True)
    begun = time.monotonic()
    task = begin(loop, rt, pid, 2.0)
    gated.gate.set()
    answered(rt, pid)
    assert time.monotonic() - begun < 2.0, "this machine is too slow for the test"
    eventually(lambda: time.monotonic() - begun > 2.01)
    assert loop.run_until_complete(task) == b"x"


def test_s38_a_deadline_that_passed_while_the_loop_stood_still_is_seen_when_it_runs_again(rt, loop):
    gated = Gated()
    task = begin(loop, rt, rt.spawn(gated, blocking=True), 0.01)
    with pytest.raises(errors.AskTimeout):
        loop.run_until_complete(task)
    gated.gate.set()


def test_actors_of_a_loop_that_stands_still_wait_and_go_on(rt, loop):
    seen = Inbox()

    async def handler(message: bytes) -> bytes:
        seen(message)
        return message

    pid = rt.spawn(handler, loop=loop)
    loop.run_until_complete(asyncio.sleep(0))
    assert rt.send_many(pid, [b"%d" % number for number in range(200)]) == 200
    with pytest.raises(errors.AskTimeout):
        rt.ask_sync(pid, b"ask", timeout=0.05)
    assert seen == [] and rt.is_alive(pid)

    async def ask() -> bytes:
        return await rt.ask(pid, b"last")

    assert loop.run_until_complete(ask()) == b"last"
    assert seen == [*(b"%d" % number for number in range(200)), b"last"]


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_an_actor_of_a_loop_that_stands_still_can_be_ended(rt, loop, way):
    ended = Inbox()

    async def handler(message: bytes) -> None:
        try:
            await asyncio.sleep(60 if way == "kill" else 0)
        finally:
            ended(message)

    async def start() -> int:
        pid = rt.spawn(handler)
        rt.send(pid, b"x")
        while not asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0)
        return pid

    pid = loop.run_until_complete(start())
    getattr(rt, way)(pid)
    if way == "kill":
        rt.join(pid, 10)

    async def run() -> None:
        end = time.monotonic() + 20
        while rt.is_alive(pid) or asyncio.all_tasks() - {asyncio.current_task()}:
            assert time.monotonic() < end, "its task goes on"
            await asyncio.sleep(0.001)

    loop.run_until_complete(run())
    assert len(ended) <= 1


def test_a_shutdown_does_not_wait_for_loops_that_stand_still(make_runtime, loop):
    rt = make_runtime()

    async def handler(message: bytes) -> None:
        await asyncio.sleep(60)

    async def pulls(mailbox: AsyncMailbox) -> None:
        await mailbox.recv()

    async def start() -> None:
        for _ in range(3):
            rt.send(rt.spawn(handler), b"x")
            rt.spawn_with_mailbox(pulls)
        await asyncio.sleep(0.01)

    loop.run_until_complete(start())
    gated = Gated()
    task = begin(loop, rt, rt.spawn(gated, blocking=True), None)
    assert gated.begun.wait(20)
    begun = time.monotonic()
    assert rt.shutdown(0.2) == 3, "the messages of the handlers whose loop stands still"
    assert time.monotonic() - begun < 10
    with pytest.raises(errors.ActorEnded):
        loop.run_until_complete(task)


# Who closes a loop by hand leaves its tasks, started or not, to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["spawn", "spawn_with_mailbox"])
@pytest.mark.parametrize("ran", [True, False])
def test_actors_of_a_loop_that_is_closed_by_hand_end_with_it(rt, way, ran):
    async def code(argument: AsyncMailbox) -> None:
        await asyncio.sleep(0)
        if way == "spawn_with_mailbox":
            await argument.recv()

    loop = asyncio.new_event_loop()
    pid = getattr(rt, way)(code, loop=loop)
    watcher = rt.spawn_observed_handler()
    rt.monitor(watcher, pid)
    if ran:
        loop.run_until_complete(asyncio.sleep(0.01))
    assert rt.is_alive(pid)
    loop.close()
    (end,) = eventually(lambda: rt.get_messages(watcher))
    assert end.reason == "shutdown"
    with pytest.raises((errors.ActorEnded, errors.NoProcess)):
        rt.ask_sync(pid, b"", timeout=20)
    with pytest.raises(RuntimeError, match="closed"):
        rt.spawn(code, loop=loop)
    del loop
    gc.collect()


def test_actors_that_were_never_sent_anything_end_with_their_loop(rt):
    async def handler(message: bytes) -> None:
        pass

    async def swapped() -> int:
        pid = rt.spawn(print)
        rt.hot_swap(pid, handler)
        while rt.bonds(pid).version != 2:
            await asyncio.sleep(0)
        return pid

    async def main() -> list[int]:
        return [rt.spawn(handler), await swapped()]

    pids = asyncio.run(main())
    eventually(lambda: not any(map(rt.is_alive, pids)))


def test_what_has_left_a_loop_does_not_end_with_it(rt):
    async def handler(message: bytes) -> bytes:
        return b"async"

    async def main() -> int:
        pid = rt.spawn(handler)
        assert await rt.ask(pid, b"x") == b"async"
        rt.hot_swap(pid, lambda message: b"plain")
        assert await rt.ask(pid, b"x") == b"plain"
        return pid

    pid = asyncio.run(main())
    assert rt.ask_sync(pid, b"x") == b"plain"


def leave_plain(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    pid = rt.spawn(lambda message: message)

    async def main() -> None:
        assert await rt.ask(pid, b"x") == b"x"

    loop.run_until_complete(main())


def leave_answered(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    gated = Gated()
    pid = rt.spawn(gated, blocking=True)
    for timeout in (None, 60.0):
        begin(loop, rt, pid, timeout)
    gated.gate.set()
    answered(rt, pid)


def leave_raised(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    begun, gate = threading.Event(), threading.Event()

    def handler(message: bytes) -> bytes:
        begun.set()
        gate.wait(20)
        raise LookupError(loop)

    pid = rt.spawn(handler, blocking=True)
    begin(loop, rt, pid, None)
    assert begun.wait(20)
    gate.set()
    rt.join(pid, 20)


def leave_unanswered(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    observed = rt.spawn_with_mailbox(lambda mailbox: mailbox.select(prefix=b"never"))
    begin(loop, rt, observed, 60.0)
    rt.kill(observed)
    rt.join(observed, 10)


def leave_actors(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    async def handler(message: bytes) -> None:
        await asyncio.sleep(loop.time() + 60)

    async def pulls(mailbox: AsyncMailbox) -> None:
        await mailbox.recv(loop.time() + 60)

    async def start() -> list[int]:
        pids = [rt.spawn(handler), rt.spawn_with_mailbox(pulls), rt.spawn(handler)]
        rt.send(pids[0], b"x")
        while len(asyncio.all_tasks()) < 3:
            await asyncio.sleep(0)
        return pids

    for pid in loop.run_until_complete(start()):
        rt.kill(pid)
        rt.join(pid, 10)


def leave_unused(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    async def handler(message: bytes) -> None:
        pass

    pid = rt.spawn(handler, loop=loop)
    rt.send(pid, b"x")


def leave_unused_by_the_dead(rt: Runtime, loop: asyncio.AbstractEventLoop) -> None:
    async def handler(message: bytes) -> None:
        await asyncio.sleep(loop.time())

    async def pulls(mailbox: AsyncMailbox) -> None:
        await mailbox.recv(loop.time())

    for pid in (rt.spawn(handler, loop=loop), rt.spawn_with_mailbox(pulls, loop=loop)):
        rt.send(pid, b"x")
        rt.kill(pid)
        rt.join(pid, 10)


# Python says of such a loop that it should have been closed, and of its tasks that they were not finished.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "leave",
    [leave_plain, leave_answered, leave_raised, leave_unanswered, leave_actors, leave_unused, leave_unused_by_the_dead],
)
def test_a_loop_that_nobody_refers_to_is_collected(
    rt: Runtime, leave: Callable[[Runtime, asyncio.AbstractEventLoop], None]
):
    def living() -> int:
        rt.actors()  # What threads of ours let go of is given back at the next call.
        gc.collect()
        return sum(1 for loop in loops if loop() is not None)

    loops = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loops.append(weakref.ref(loop))
            leave(rt, loop)
            del loop
        eventually(lambda: living() == 0)


def test_what_waits_in_a_closed_loop_is_let_go_of_in_the_middle_of_nothing():
    """With the last that refers to it goes what was to be called, which may look into the mailbox meanwhile."""
    ran = run_program("""
        import asyncio
        import time
        import myrmidon

        async def pulls(mailbox):
            mailboxes.append(mailbox)
            await asyncio.sleep(60)

        async def first():
            return asyncio.create_task(mailbox.recv())

        class Callback:
            def __call__(self, promise):
                raise AssertionError("its loop is closed")

            def __del__(self):
                print("let go of with", len(mailbox), "there")

        async def waits():
            mailbox._mailbox._wait(None, None).add_done_callback(Callback())

        async def passes_on(task):
            rt.send(mailbox.pid, b"message")
            while not len(mailbox):
                time.sleep(0.001)
            task.cancel()  # It was told already, so another is to be told in its place.
            await asyncio.wait([task])
            print(task.cancelled(), await mailbox.recv(timeout=20))

        with myrmidon.Runtime() as rt:
            mailboxes = []
            pid = rt.spawn_with_mailbox(pulls)
            while not mailboxes:
                time.sleep(0.001)
            (mailbox,) = mailboxes
            loop, closed = asyncio.new_event_loop(), asyncio.new_event_loop()
            task = loop.run_until_complete(first())
            loop.run_until_complete(asyncio.sleep(0))
            closed.run_until_complete(waits())
            closed.close()
            loop.run_until_complete(passes_on(task))
            loop.close()
            rt.kill(pid)
    """)
    assert ran.stdout == "let go of with 1 there\nTrue b'message'\n", ran.stderr
    assert ran.returncode == 0


@pytest.mark.parametrize("wrong", [5, "loop", asyncio, asyncio.new_event_loop])
def test_what_is_no_loop_is_refused_in_words(rt, wrong):
    async def code(argument: object) -> None:
        pass

    pid = rt.spawn(print)
    for call in (
        lambda: rt.spawn(code, loop=wrong),
        lambda: rt.spawn_with_mailbox(code, loop=wrong),
        lambda: rt.hot_swap(pid, code, loop=wrong),
    ):
        with pytest.raises(TypeError, match="loop is an event loop, as asyncio.get_running_loop"):
            call()


def test_a_plain_handler_may_run_a_loop_that_asks_others_of_its_lane(rt):
    other = rt.spawn(lambda message: message.upper())

    def handler(message: bytes) -> bytes:
        async def main() -> bytes:
            with pytest.raises(errors.OwnActor):
                await rt.ask(pid, b"itself")
            answers = await asyncio.gather(*(rt.ask(other, b"%c" % letter) for letter in message))
            return b"".join(answers)

        return asyncio.run(main())

    pid = rt.spawn(handler)
    assert rt.ask_sync(pid, b"abc", timeout=20) == b"ABC"
    assert rt.ask_sync(pid, b"def", timeout=20) == b"DEF"


def end_by_a_task(loop: asyncio.AbstractEventLoop) -> None:
    async def bad() -> None:
        raise SystemExit(3)

    loop.create_task(bad())  # noqa: RUF006


def end_by_a_callback(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(sys.exit, 3)


def end_by_stop(loop: asyncio.AbstractEventLoop) -> None:
    loop.stop()


@pytest.mark.parametrize("end", [end_by_a_task, end_by_a_callback, end_by_stop])
def test_s39_what_an_actor_leaves_in_the_loop_of_the_runtime_does_not_end_the_others(rt, end, caplog):
    async def echo(message: bytes) -> bytes:
        return message

    async def ends(message: bytes) -> bytes:
        end(asyncio.get_running_loop())
        for _ in range(5):
            await asyncio.sleep(0)
        return message

    async def pulls(mailbox: AsyncMailbox) -> None:
        async for message in mailbox:
            if mailbox.reply is not None:
                mailbox.reply.send(message)

    before = rt.spawn(echo), rt.spawn_with_mailbox(pulls)
    assert rt.ask_sync(rt.spawn(ends), b"x", timeout=20) == b"x"
    for pid in (*before, rt.spawn(echo), rt.spawn_with_mailbox(pulls)):
        assert rt.ask_sync(pid, b"y", timeout=20) == b"y"
    if end is not end_by_stop:
        eventually(lambda: "SystemExit" in caplog.text and "goes on" in caplog.text)


def test_the_loop_of_the_runtime_has_a_successor_where_it_ends(rt):
    async def echo(message: bytes) -> bytes:
        return message

    async def ends(message: bytes) -> None:
        # As a loop does that goes down.
        await asyncio.get_running_loop().shutdown_asyncgens()

    before, last = rt.spawn(echo), rt.spawn(ends)
    assert rt.ask_sync(before, b"x", timeout=20) == b"x"
    rt.send(last, b"x")
    eventually(lambda: not rt.actors())
    assert rt.ask_sync(rt.spawn(echo), b"y", timeout=20) == b"y"
