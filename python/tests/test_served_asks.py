"""Asks of `async def` handlers of one's own loop: what is handled on the spot, and what is left to the handler's task."""

import asyncio
import contextvars
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import eventually, run_program, turns_during

from myrmidon import _tasks, errors

pytestmark = pytest.mark.skipif(
    _tasks.swap_current_task is None and _tasks.current_tasks is None,
    reason="this Python has no way to say which task is the current one, so nothing is handled on the spot",
)


def in_shallow_loop(coroutine):
    """Runs it in a loop with little of the stack below it: here pytest has its own there."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, coroutine).result(60)


async def is_on_the_spot(rt, pid, message=b""):
    """Whether an ask is handled before what is ready runs. Where others of the loop were due, it is not: so at best of many."""
    for _ in range(200):
        ran = []
        asyncio.get_running_loop().call_soon(ran.append, True)
        await rt.ask(pid, message)
        if not ran:
            return True
        await asyncio.sleep(0)
    return False


async def served(rt, handler):
    """Spawns a handler of the running loop, which waits at its door; it answers `b""` without a wait."""
    pid = rt.spawn(handler)
    assert await is_on_the_spot(rt, pid)
    await asyncio.sleep(0)
    return pid


def test_a_handler_of_the_asking_loop_runs_in_its_own_task_and_context(rt):
    name = contextvars.ContextVar("name", default=b"nobody")

    async def main():
        tasks = set()

        async def handler(message):
            tasks.add(asyncio.current_task())
            assert name.get() != b"asker"
            before = name.get()
            name.set(message)
            return before

        pid = await served(rt, handler)
        name.set(b"asker")
        me = asyncio.current_task()
        for number in range(300):
            assert await rt.ask(pid, b"%d" % number) == (b"%d" % (number - 1) if number else b"")
            assert asyncio.current_task() is me
            assert name.get() == b"asker"
        assert len(tasks) == 1 and me not in tasks
        assert tasks <= asyncio.all_tasks()

    in_shallow_loop(main())


def test_a_handler_of_the_asking_loop_may_wait_and_give_up(rt):
    async def main():
        async def handler(message):
            if not message:
                return message
            await asyncio.sleep(0)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.001)
            except asyncio.TimeoutError:
                return b"gave " + message

        pid = await served(rt, handler)
        for _ in range(5):
            answers = await asyncio.gather(*(rt.ask(pid, b"%d" % number) for number in range(3)))
            assert answers == [b"gave 0", b"gave 1", b"gave 2"]

    in_shallow_loop(main())


def test_s39_what_a_handler_of_the_asking_loop_raises_ends_it_and_its_task(rt):
    async def main():
        tasks = set()

        async def handler(message):
            tasks.add(asyncio.current_task())
            if message:
                raise ValueError(message.decode())

        pid = await served(rt, handler)
        with pytest.raises(ValueError, match="^wrong$"):
            await rt.ask(pid, b"wrong")
        with pytest.raises(errors.MyrmidonError):
            await rt.ask(pid, b"more")
        await asyncio.wait_for(asyncio.wait(tasks), 30)
        assert not rt.is_alive(pid)

    in_shallow_loop(main())


def test_a_handler_of_the_asking_loop_that_cancels_itself_ends(rt):
    async def main():
        tasks = set()

        async def handler(message):
            if message:
                tasks.add(asyncio.current_task())
                asyncio.current_task().cancel()
            return message

        pid = await served(rt, handler)
        assert await rt.ask(pid, b"last") == b"last"
        await asyncio.wait_for(asyncio.wait(tasks), 30)
        assert all(task.cancelled() for task in tasks)
        await asyncio.to_thread(eventually, lambda: not rt.is_alive(pid))

    in_shallow_loop(main())


def test_handlers_of_one_loop_may_ask_each_other_in_a_long_row(rt):
    async def main():
        pids = []

        def link(index):
            async def handler(message):
                return await rt.ask(pids[index + 1], message) + b"." if index < 30 else message

            return handler

        pids.extend(rt.spawn(link(index)) for index in range(31))
        for _ in range(3):
            assert await rt.ask(pids[0], b"") == b"." * 30

    in_shallow_loop(main())


def test_asks_that_a_handler_of_the_same_loop_answers_leave_the_loop_its_turns(rt):
    async def asks():
        async def handler(message):
            return message

        pid = await served(rt, handler)
        for number in range(3000):
            assert await rt.ask(pid, b"%d" % number) == b"%d" % number

    assert in_shallow_loop(turns_during(asks())) > 3


def test_a_handler_that_cancels_its_task_and_lets_the_others_go_first_ends(rt):
    async def main():
        tasks = set()

        async def handler(message):
            if message:
                tasks.add(asyncio.current_task())
                asyncio.current_task().cancel()
                await asyncio.sleep(0)

        pid = await served(rt, handler)
        with pytest.raises(errors.ActorEnded):
            await rt.ask(pid, b"last")
        await asyncio.wait_for(asyncio.wait(tasks), 30)
        assert all(task.cancelled() for task in tasks)

    in_shallow_loop(main())


def test_a_handler_that_cancels_its_task_learns_so_when_what_it_awaits_has_ended(rt):
    async def main():
        found = []

        async def child():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)

        async def waits(message):
            if not message:
                return
            asyncio.current_task().cancel()
            try:
                await children[0]
            except asyncio.CancelledError:
                found.append(children[0].done())
                raise

        children = [asyncio.create_task(child())]
        pid = await served(rt, waits)
        with pytest.raises(errors.ActorEnded):
            await rt.ask(pid, b"last")
        assert found == [True]

    in_shallow_loop(main())


@pytest.mark.parametrize(
    ("error", "helper"),
    [(asyncio.CancelledError, "asyncio.current_task"), (KeyboardInterrupt, "threading.current_thread")],
)
def test_an_actor_ends_also_where_what_looks_at_its_error_fails(rt, monkeypatch, error, helper):
    module, name = helper.split(".")
    whole = getattr(sys.modules[module], name)
    asking = None

    def broken(*given):
        # Other threads look too, as one that logs.
        if threading.get_ident() == asking:
            raise RecursionError
        return whole(*given)

    async def main():
        nonlocal asking
        asking = threading.get_ident()

        async def handler(message):
            if message:
                monkeypatch.setattr(helper, broken)
                raise error

        pid = await served(rt, handler)
        with pytest.raises(errors.ActorEnded):
            try:
                await rt.ask(pid, b"last", timeout=20)
            finally:
                monkeypatch.undo()

    in_shallow_loop(main())


def test_a_handler_finds_the_stack_of_its_own_task_however_deep_who_asks_is(rt):
    def down(levels):
        return down(levels - 1) if levels else b"down"

    async def main():
        async def handler(message):
            return down(sys.getrecursionlimit() // 2) if message else message

        async def deep(levels):
            return await deep(levels - 1) if levels else await rt.ask(pid, b"go")

        pid = await served(rt, handler)
        assert await deep(sys.getrecursionlimit() * 2 // 3) == b"down"
        assert await rt.ask(pid, b"go") == b"down"

    in_shallow_loop(main())


def test_a_handler_knows_nothing_of_the_exception_that_who_asks_is_handling(rt):
    async def main():
        async def handler(message):
            return str(sys.exc_info()[0]).encode() if message else message

        pid = await served(rt, handler)
        try:
            raise ValueError("of who asks")
        except ValueError:
            assert await rt.ask(pid, b"go") == b"None"
        assert await is_on_the_spot(rt, pid, b"go")

    in_shallow_loop(main())


def test_an_ask_has_no_other_actor_run_on_the_spot(rt):
    """The other was told of a message before, and the one that is asked is in the middle of its own."""

    async def main():
        inside, asking, told = [], False, 0

        async def other(message):
            nonlocal told
            told += 1
            inside.append(asking)

        async def busy(message):
            if message:
                await gate.wait()
            return message

        gate = asyncio.Event()
        first, second = await served(rt, busy), await served(rt, other)
        asked = asyncio.create_task(rt.ask(first, b"long"))
        while len(inside) < 500:
            await asyncio.sleep(0)
            count, before = told, rt.info(second).reductions
            rt.send(second, b"")
            # The workers pass it on, which need no interpreter for it.
            while rt.info(second).reductions == before:
                pass
            more = rt.ask(first, b"more").__await__()
            asking = True
            next(more)
            asking = False
            more.close()
            while told == count:
                await asyncio.sleep(0)
        gate.set()
        await asked
        return inside

    assert not any(in_shallow_loop(main()))


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit", "asyncio.CancelledError"])
def test_s39_what_ends_more_than_a_handler_is_raised_in_its_own_task(error):
    """Who asks is told that the actor has ended; Ctrl-C ends the loop, and a cancelled task is."""
    ran = run_program(f"""
        import asyncio
        import myrmidon

        async def main():
            async def handler(message):
                if message:
                    tasks.append(asyncio.current_task())
                    if {error} is asyncio.CancelledError:
                        tasks[0].cancel()
                    raise {error}

            pid = rt.spawn(handler)
            for _ in range(3):
                await rt.ask(pid, b"")
                await asyncio.sleep(0)
            try:
                await rt.ask(pid, b"stop")
            except myrmidon.errors.ActorEnded:
                print("ended")
            await asyncio.wait(tasks, timeout=20)

        tasks = []
        with myrmidon.Runtime() as rt:
            try:
                asyncio.run(main())
            except KeyboardInterrupt:
                print("ctrl-c")
        print(tasks[0].cancelled())
    """)
    assert ran.returncode == 0, ran.stderr
    ends = {"KeyboardInterrupt": "ended\nctrl-c\nFalse", "SystemExit": "ended\nFalse"}
    assert ran.stdout.strip() == ends.get(error, "ended\nTrue"), ran.stderr
