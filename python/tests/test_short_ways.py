"""The short ways of calls that come often, of tasks that wait, and the long ways of all others: the same comes of both."""

import asyncio
import collections.abc
import contextvars
import inspect
import sys
import threading

import pytest
from support import Inbox, eventually

from myrmidon import _core, errors


class Text(bytes):
    pass


class Number(int):
    pass


def echo(message):
    return message


@pytest.mark.parametrize(
    "call",
    [
        lambda rt, pid: rt.send(pid, b"x"),
        lambda rt, pid: rt.send(pid, data=b"x"),
        lambda rt, pid: rt.send(pid=pid, data=b"x"),
        lambda rt, pid: rt.send(Number(pid), b"x"),
        lambda rt, pid: rt.send(pid, Text(b"x")),
        lambda rt, pid: rt.send(pid, bytearray(b"x")),
        lambda rt, pid: _core.Runtime.send(rt, pid, b"x"),
        lambda rt, pid: _core.Runtime.send(rt, pid, data=b"x"),
    ],
)
def test_however_send_is_called_the_message_arrives(rt, call):
    inbox = Inbox()
    assert call(rt, rt.spawn(inbox)) is True
    assert eventually(lambda: len(inbox) == 1)
    assert inbox == [b"x"]


def test_what_send_is_wrongly_called_with_is_an_error(rt):
    pid = rt.spawn(echo)
    for arguments in [(), (pid,), (pid, b"x", b"y"), (None, b"x"), (pid, "x")]:
        with pytest.raises(TypeError):
            rt.send(*arguments)
    with pytest.raises(TypeError):
        rt.send(pid, b"x", other=1)
    with pytest.raises(TypeError):
        _core.Runtime.send(object(), pid, b"x")


def test_send_says_who_takes_nothing(make_runtime):
    rt = make_runtime()
    pid = rt.spawn(echo)
    dead = rt.spawn(echo)
    rt.kill(dead)
    assert rt.join(dead, 10)
    assert rt.send(dead, b"x") is False
    assert rt.send(0, b"x") is False and rt.send(-1, b"x") is False and rt.send(2**70, b"x") is False
    assert rt.send(True, b"x") is False
    rt.shutdown()
    with pytest.raises(errors.RuntimeClosed):
        rt.send(pid, b"x")
    with pytest.raises(errors.RuntimeClosed):
        asyncio.run(rt.ask(pid, b"x"))


@pytest.mark.parametrize("name", ["send", "ask"])
def test_the_short_way_shows_the_signature_and_the_words_of_the_long_one(name):
    method = getattr(_core.Runtime, name)
    assert list(inspect.signature(method).parameters)[:3] == ["self", "pid", "data"]
    assert len(inspect.getdoc(method)) > 100
    assert method.__name__ == name and method.__objclass__ is _core.Runtime


@pytest.mark.parametrize(
    "ask",
    [
        lambda rt, pid: rt.ask(pid, b"x"),
        lambda rt, pid: rt.ask(pid, b"x", 5.0),
        lambda rt, pid: rt.ask(pid, b"x", timeout=None),
        lambda rt, pid: rt.ask(data=b"x", pid=pid),
        lambda rt, pid: rt.ask(Number(pid), b"x"),
        lambda rt, pid: rt.ask(pid, Text(b"x")),
        lambda rt, pid: rt.ask(pid, bytearray(b"x")),
    ],
)
def test_however_ask_is_called_the_answer_comes(rt, ask):
    pid = rt.spawn(echo)
    assert asyncio.run(ask(rt, pid)) == b"x"


def test_an_ask_is_stepped_by_send_by_next_and_by_await_alike(rt):
    pid = rt.spawn(lambda message: message * 2)

    def stepped(step):
        class Stepped(collections.abc.Awaitable):
            def __init__(self, asking):
                self.asking = asking

            def __await__(self):
                while True:
                    try:
                        awaited = step(self.asking)
                    except StopIteration as end:
                        return end.value
                    yield awaited

        return Stepped

    async def awaited(asking):
        return await asking

    async def main():
        by_send, by_next = stepped(lambda asking: asking.send(None)), stepped(next)
        for wrap in [by_send, by_next, awaited]:
            answers = await asyncio.gather(*(awaited(wrap(rt.ask(pid, b"%d" % number))) for number in range(20)))
            assert answers == [b"%d" % number * 2 for number in range(20)]

    asyncio.run(main())


def test_the_tasks_of_asyncio_that_are_written_in_python_await_asks(rt):
    pid = rt.spawn(echo)

    async def client(number):
        return await rt.ask(pid, b"%d" % number)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coroutine, **options: asyncio.tasks._PyTask(coroutine, loop=loop, **options))
        tasks = [asyncio.create_task(client(number)) for number in range(20)]
        assert {type(task) for task in tasks} == {asyncio.tasks._PyTask}
        assert await asyncio.gather(*tasks) == [b"%d" % number for number in range(20)]

    asyncio.run(main())


def promise_of(rt, pid):
    """What an ask waits for, and the ask, to be kept."""
    asking = rt.ask(pid, b"")
    return asking.send(None), asking


@pytest.fixture
def held(rt):
    """An actor that answers nothing before the end of the test."""
    gate = threading.Event()
    yield rt.spawn(lambda message: gate.wait(30) and None, blocking=True)
    gate.set()


def test_what_a_task_asks_of_a_promise_others_may_ask_too(rt, held):

    async def main():
        promise, asking = promise_of(rt, held)
        assert promise._asyncio_future_blocking is True
        promise._asyncio_future_blocking = False
        assert promise._asyncio_future_blocking is False
        with pytest.raises(TypeError):
            promise._asyncio_future_blocking = "yes"
        with pytest.raises(AttributeError):
            del promise._asyncio_future_blocking
        with pytest.raises(AttributeError):
            promise.other = 1
        with pytest.raises(AttributeError):
            promise.other  # noqa: B018
        assert promise.get_loop() is asyncio.get_running_loop()
        assert promise.done() is False and "pending" in repr(promise)
        # As one string that is not the interpreter's own.
        assert getattr(promise, "".join(["get", "_loop"]))() is asyncio.get_running_loop()
        asking.close()
        assert promise.cancelled()

    asyncio.run(main())


def test_callbacks_of_a_promise_are_called_in_order_however_they_were_added(rt, held):
    name = contextvars.ContextVar("name", default="main")
    calls = []

    async def main():
        promise, asking = promise_of(rt, held)

        def called(number):
            return lambda given: calls.append((number, given is promise, name.get()))

        context = contextvars.copy_context()
        context.run(name.set, "own")
        gone = called("gone")
        promise.add_done_callback(called(0), context=context)
        promise.add_done_callback(called(1))
        promise.add_done_callback(gone, context=context)
        promise.add_done_callback(called(2), context=context)
        promise.add_done_callback(called(3), context=None)
        for arguments, options in [((), {}), ((called(9), context), {}), ((called(9),), {"other": 1})]:
            with pytest.raises(TypeError):
                promise.add_done_callback(*arguments, **options)
        assert promise.remove_done_callback(gone) == 1 and promise.remove_done_callback(gone) == 0
        asking.close()
        while len(calls) < 4:
            await asyncio.sleep(0)
        promise.add_done_callback(called(4), context=context)
        assert len(calls) == 4
        await asyncio.sleep(0)

    asyncio.run(main())
    assert [(number, right) for number, right, _ in calls] == [(number, True) for number in range(5)]
    assert [calls[number][2] for number in (0, 2, 4)] == ["own"] * 3


def test_who_waits_first_may_leave_before_others(rt, held):
    calls = []

    async def main():
        promise, asking = promise_of(rt, held)
        first, second, third = (lambda _, number=number: calls.append(number) for number in range(3))
        for callback in (first, second):
            promise.add_done_callback(callback)
        assert promise.remove_done_callback(first) == 1
        promise.add_done_callback(third)
        asking.close()
        while len(calls) < 2:
            await asyncio.sleep(0)

    asyncio.run(main())
    assert calls == [1, 2]


def test_a_call_of_a_promise_keeps_its_references(rt, held):

    async def main():
        promise, asking = promise_of(rt, held)
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def callback(_):
            pass

        kept = [promise, loop, context, callback]
        before = [sys.getrefcount(thing) for thing in kept]
        for _ in range(1000):
            assert promise._asyncio_future_blocking in (True, False)
            promise._asyncio_future_blocking = True
            assert promise.get_loop() is loop
            promise.add_done_callback(callback, context=context)
            assert promise.remove_done_callback(callback) == 1
        after = [sys.getrefcount(thing) for thing in kept]
        assert [count - past for count, past in zip(after, before, strict=True)] == [0] * len(kept)
        asking.close()

    asyncio.run(main())


def test_send_and_ask_keep_their_references(rt):
    pid, sink = rt.spawn(echo), rt.spawn(lambda message: None)
    data = b"some bytes of their own"
    kept = [rt, data]

    async def main():
        for _ in range(3):
            await rt.ask(pid, data)
        before = [sys.getrefcount(thing) for thing in kept]
        for _ in range(300):
            assert await rt.ask(pid, data) is data
            assert rt.send(sink, data)
        await asyncio.to_thread(eventually, lambda: rt.mailbox_size(sink) == 0)
        await asyncio.to_thread(eventually, lambda: [sys.getrefcount(thing) for thing in kept] == before)
        assert [sys.getrefcount(thing) for thing in kept] == before

    asyncio.run(main())
