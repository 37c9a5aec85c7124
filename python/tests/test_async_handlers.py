"""Handlers that are ``async def``: where they run, in which order, and how they end."""

import asyncio
import contextvars
import functools
import logging
import sys
import threading
import time

import pytest
from support import Inbox, eventually, run_program, threads

import myrmidon
from myrmidon import errors


class Gate:
    """Holds coroutines up until it is opened, from any thread."""

    def __init__(self):
        self._opened = threading.Event()

    async def wait(self):
        while not self._opened.is_set():
            await asyncio.sleep(0.001)

    def open(self):
        self._opened.set()


def test_an_async_handler_runs_in_the_loop_of_its_spawner(rt):
    async def main():
        done = asyncio.Event()
        seen = []

        async def handler(message):
            await asyncio.sleep(0)
            seen.append((message, asyncio.get_running_loop(), threading.current_thread()))
            done.set()

        data = b"hello"
        rt.send(rt.spawn(handler), data)
        await done.wait()
        return seen == [(data, asyncio.get_running_loop(), threading.current_thread())] and seen[0][0] is data

    assert asyncio.run(main())


def test_without_a_loop_it_runs_in_the_runtimes_own(rt):
    names = Inbox()

    async def handler(message):
        await asyncio.sleep(0)
        names.append(threading.current_thread() is threading.main_thread())
        names.append(asyncio.get_running_loop())

    for _ in range(2):
        assert rt.ask_sync(rt.spawn(handler), b"x") == b""
    assert names[0] is False
    assert names[1] is names[3]


def test_without_a_loop_many_threads_may_need_the_runtimes_own_at_once():
    """Who makes it second throws it away, and holds up nobody meanwhile."""
    done = run_program("""
        import sys, threading, myrmidon
        sys.setswitchinterval(1e-6)
        async def handler(message):
            return message
        for _ in range(20):
            with myrmidon.Runtime() as rt:
                together, answers = threading.Barrier(8), []
                def spawns():
                    together.wait(10)
                    answers.append(rt.ask_sync(rt.spawn(handler), b"x"))
                threads = [threading.Thread(target=spawns) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert answers == [b"x"] * 8, answers
        print("answered")
    """)
    assert done.stdout.split() == ["answered"], done.stderr
    assert done.returncode == 0


def test_a_loop_may_be_given(rt):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    loops = []

    async def handler(message):
        loops.append(asyncio.get_running_loop())

    rt.ask_sync(rt.spawn(handler, loop=loop), b"x")
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    assert loops == [loop]
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.mark.parametrize("kind", ["function", "partial", "object", "method"])
def test_every_kind_of_async_callable_is_one(rt, kind):
    class Handler:
        async def __call__(self, message):
            return message + b"!"

        async def method(self, message):
            return message + b"!"

    async def function(message, end=b"!"):
        return message + end

    handlers = {
        "function": function,
        "partial": functools.partial(function, end=b"!"),
        "object": Handler(),
        "method": Handler().method,
    }
    assert rt.ask_sync(rt.spawn(handlers[kind]), b"x") == b"x!"


def test_one_message_after_another_and_in_order(rt):
    running, most, seen = 0, 0, []

    async def handler(message):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        seen.append(message)
        running -= 1

    pid = rt.spawn(handler)
    messages = [b"%d" % number for number in range(500)]
    rt.send_many(pid, messages)
    assert rt.ask_sync(pid, b"last", timeout=20) == b""
    assert seen == [*messages, b"last"]
    assert most == 1


def test_concurrency_handles_so_many_at_a_time(rt):
    running, most = 0, 0
    gate = Gate()

    async def handler(message):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    pid = rt.spawn(handler, concurrency=7)
    rt.send_many(pid, [b"x"] * 50)
    eventually(lambda: running == 7)
    gate.open()
    rt.stop(pid)
    rt.join(pid, timeout=20)
    assert (running, most) == (0, 7)


def test_a_handler_that_never_waits_gives_others_of_the_loop_their_turn(rt):
    async def main():
        handled = 0

        async def handler(message):
            nonlocal handled
            handled += 1

        pid = rt.spawn(handler, budget=10)
        rt.send_many(pid, [b"x"] * 5000)
        turns = []
        while handled < 5000:
            turns.append(handled)
            await asyncio.sleep(0)
        return turns

    assert len(asyncio.run(main())) > 100


def test_stop_waits_for_what_was_sent_before(rt):
    seen = []

    async def handler(message):
        await asyncio.sleep(0)
        seen.append(message)

    for concurrency in (1, 3):
        seen.clear()
        pid = rt.spawn(handler, concurrency=concurrency)
        rt.send_many(pid, [b"x"] * 100)
        rt.stop(pid)
        assert rt.join(pid, timeout=20).kind == "normal"
        assert len(seen) == 100


@pytest.mark.parametrize("concurrency", [1, 2])
def test_s41_kill_cancels_the_coroutine(rt, concurrency):
    begun, cancelled = threading.Event(), threading.Event()

    async def handler(message):
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    pid = rt.spawn(handler, concurrency=concurrency)
    rt.send(pid, b"x")
    assert begun.wait(10)
    rt.kill(pid)
    assert cancelled.wait(10)
    assert not rt.is_alive(pid)


def test_s38_who_asked_an_actor_that_is_killed_hears_of_it_at_once(rt):
    begun = threading.Event()

    async def handler(message):
        begun.set()
        await asyncio.sleep(60)

    pid = rt.spawn(handler)

    def kill():
        begun.wait(10)
        rt.kill(pid)

    threading.Thread(target=kill).start()
    with pytest.raises(errors.ActorEnded) as caught:
        rt.ask_sync(pid, b"x", timeout=None)
    assert caught.value.reason.kind == "killed"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_s39_an_exception_ends_the_actor_and_is_raised_by_who_asked(rt, concurrency):
    async def handler(message):
        await asyncio.sleep(0)
        raise ValueError("boom")

    watcher = rt.spawn_observed_handler()
    pid = rt.spawn(handler, concurrency=concurrency)
    rt.monitor(watcher, pid)
    with pytest.raises(ValueError, match="boom"):
        rt.ask_sync(pid, b"x")
    (end,) = eventually(lambda: rt.get_messages(watcher))
    assert end.metadata == "ValueError: boom"
    assert "in handler" in end.traceback


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
def test_s39_no_exception_ends_the_loop(rt, error):
    async def handler(message):
        raise error

    async def echo(message):
        return message

    pid = rt.spawn(handler)
    with pytest.raises(errors.ActorEnded) as caught:
        rt.ask_sync(pid, b"x")
    # Before Python 3.11 a task cannot tell whether it was cancelled itself.
    untold = isinstance(error, asyncio.CancelledError) and sys.version_info < (3, 11)
    assert untold or type(error).__name__ in str(caught.value)
    assert rt.ask_sync(rt.spawn(echo), b"alive") == b"alive"


def test_what_a_handler_sets_in_its_context_is_its_own(rt):
    number = contextvars.ContextVar("number", default=0)

    async def handler(message):
        number.set(number.get() + 1)
        await asyncio.sleep(0)
        return b"%d" % number.get()

    number.set(40)
    one, two = rt.spawn(handler), rt.spawn(handler)
    assert [rt.ask_sync(one, b"x") for _ in range(3)] == [b"41", b"42", b"43"]
    assert rt.ask_sync(two, b"x") == b"41"
    assert number.get() == 40


def test_the_current_actor_is_known(rt):
    async def asynchronous(message):
        await asyncio.sleep(0)
        return b"%d" % myrmidon.current()

    handlers = [asynchronous, lambda message: b"%d" % myrmidon.current()]
    for handler in handlers:
        pid = rt.spawn(handler)
        assert int(rt.ask_sync(pid, b"x")) == pid
    assert myrmidon.current() is None


def test_an_async_actor_may_ask_others_but_not_itself(rt):
    answerer = rt.spawn(lambda message: message[::-1])
    own = []

    async def handler(message):
        return await rt.ask(own[0] if message == b"itself" else answerer, message)

    own.append(rt.spawn(handler))
    assert rt.ask_sync(own[0], b"abc") == b"cba"
    with pytest.raises(errors.OwnActor):
        rt.ask_sync(own[0], b"itself")


def test_d5_hot_swaps_between_plain_and_async_keep_the_order(rt):
    seen = []

    def plain(name):
        def handler(message):
            seen.append((name, message, threading.current_thread().name))

        return handler

    def asynchronous(name):
        async def handler(message):
            await asyncio.sleep(0)
            seen.append((name, message, threading.current_thread().name))

        return handler

    pid = rt.spawn(plain("p1"))
    handlers = [asynchronous("a2"), asynchronous("a3"), plain("p4"), plain("p5"), asynchronous("a6")]
    for number, handler in enumerate(handlers):
        rt.send_many(pid, [b"%d" % number] * 50)
        assert rt.hot_swap(pid, handler) == number + 2
    rt.send(pid, b"5")
    rt.rollback(pid)
    rt.send(pid, b"6")
    rt.stop(pid)
    rt.join(pid, timeout=20)
    names = ["p1", "a2", "a3", "p4", "p5", "a6", "p5"]
    assert [name for name, _, _ in seen[::50]][:5] == names[:5]
    expected = [(name, b"%d" % number) for number, name in enumerate(names[:5]) for _ in range(50)]
    assert [(name, message) for name, message, _ in seen] == [*expected, ("a6", b"5"), ("p5", b"6")]
    threads = {name[0]: set() for name in names}
    for name, _, thread in seen:
        threads[name[0]].add(thread)
    assert threads["p"].isdisjoint(threads["a"])
    assert len(threads["p"]) == len(threads["a"]) == 1


def test_an_urgent_swap_acts_before_what_waits_in_the_mailbox(rt):
    gate, seen = Gate(), []

    async def old(message):
        await gate.wait()
        seen.append("old")

    async def new(message):
        seen.append("new")

    pid = rt.spawn(old)
    rt.send_many(pid, [b"x"] * 1000)
    rt.hot_swap(pid, new, now=True)
    gate.open()
    rt.stop(pid)
    rt.join(pid, timeout=20)
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 1000
    assert seen.count("old") <= 65


def test_exits_reach_an_async_handler(rt):
    inbox = Inbox()

    async def handler(message):
        inbox.append(message)

    pid = rt.spawn(handler)
    other = rt.spawn(print)
    rt.monitor(pid, other)
    rt.stop(other)
    eventually(lambda: inbox)
    assert (inbox[0].type_name, inbox[0].target_pid) == ("EXIT", other)


def test_the_end_of_the_loop_ends_its_actors(rt):
    async def handler(message):
        return message

    async def main():
        used, unused = rt.spawn(handler), rt.spawn(handler)
        assert await rt.ask(used, b"x") == b"x"
        return used, unused

    used, unused = asyncio.run(main())
    eventually(lambda: not rt.is_alive(used))
    # One that nobody has asked yet ends when somebody does.
    with pytest.raises((errors.ActorEnded, errors.NoProcess)):
        rt.ask_sync(unused, b"x")
    assert rt.join(unused).kind in ("shutdown", "noproc")


def test_a_cancelled_ask_of_an_async_actor_does_no_harm(rt):
    async def main():
        gate = asyncio.Event()

        async def handler(message):
            await gate.wait()
            return message

        pid = rt.spawn(handler)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(rt.ask(pid, b"cancelled", timeout=None), 0.02)
        gate.set()
        return await rt.ask(pid, b"answered")

    assert asyncio.run(main()) == b"answered"


def test_shutdown_ends_async_actors_and_the_own_loop(make_runtime):
    rt = make_runtime()
    loops = []

    async def handler(message):
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(60)

    rt.send(rt.spawn(handler), b"x")
    eventually(lambda: loops)
    rt.shutdown(0)
    eventually(loops[0].is_closed)


def test_what_makes_no_sense_is_refused(rt):
    async def handler(message):
        pass

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(ValueError, match="concurrency"):
            rt.spawn(handler, concurrency=0)
        with pytest.raises(TypeError, match="concurrency"):
            rt.spawn(print, concurrency=2)
        with pytest.raises(TypeError, match="loop"):
            rt.spawn(print, loop=loop)
        with pytest.raises(TypeError, match="generator"):
            rt.spawn(functools.partial(lambda message: (yield)))
        with pytest.raises(TypeError, match="blocking"):
            rt.spawn(handler, blocking=True)
    finally:
        loop.close()


def test_a_thousand_async_actors_need_no_threads(rt):
    async def handler(message):
        await asyncio.sleep(0)
        return message

    async def main():
        pids = [rt.spawn(handler) for _ in range(1000)]
        answers = await asyncio.gather(*(rt.ask(pid, b"%d" % pid) for pid in pids))
        assert answers == [b"%d" % pid for pid in pids]
        return threads() - before

    before = threads()
    assert asyncio.run(main()) < 20


def test_a_loop_that_goes_on_after_its_end_takes_actors_again(rt):
    async def handler(message):
        return message

    async def main():
        return await rt.ask(rt.spawn(handler), b"x")

    loop = asyncio.new_event_loop()
    try:
        for _ in range(3):
            assert loop.run_until_complete(main()) == b"x"
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.mark.parametrize("way", ["sent", "resumed", "asked on the spot"])
def test_s42_an_async_handler_that_keeps_its_loop_is_reported(rt, caplog, way):
    gate = threading.Event()
    opener = threading.Thread(target=lambda: (eventually(lambda: "has run for" in caplog.text, 30), gate.set()))

    async def stuck(message):
        if way == "resumed":
            await asyncio.sleep(0)
        gate.wait(30)
        return message

    async def waits(message):
        await asyncio.get_running_loop().create_future()

    async def main():
        waiter, pid = rt.spawn(waits), rt.spawn(stuck)
        rt.send(waiter, b"x")
        for _ in range(10):  # The handlers wait for messages before they are asked.
            await asyncio.sleep(0)
        if way == "asked on the spot":
            assert await rt.ask(pid, b"x", timeout=60) == b"x"
        else:
            rt.send(pid, b"x")
            while not gate.is_set():
                await asyncio.sleep(0.001)
        await asyncio.to_thread(eventually, lambda: "has returned" in caplog.text)
        rt.kill(waiter)
        return pid

    with caplog.at_level(logging.INFO, logger="myrmidon.actor"):
        opener.start()
        pid = asyncio.run(main())
        opener.join()
    told = [record.getMessage() for record in caplog.records]
    assert any(f"actor {pid} has run for" in line for line in told)
    assert any(f"actor {pid} that held up its thread has returned" in line for line in told)
    # Of another handler of the loop, which merely waits, nothing is said.
    assert all(f"actor {pid} " in line for line in told)


def test_the_time_that_async_handlers_keep_their_loop_is_their_run_time(rt):
    async def busy(message):
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass

    async def idle(message):
        await asyncio.sleep(0.05)

    pids = rt.spawn(busy), rt.spawn(idle)
    for _ in range(10):
        for pid in pids:
            rt.ask_sync(pid, b"x")
    computed, waited = (rt.info(pid).run_time for pid in pids)
    assert computed > waited
    assert rt.top(1, "run_time")[0].pid == pids[0]
