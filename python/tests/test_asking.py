"""What ``rt.ask`` returns: a coroutine, to all that takes one (G5)."""

import asyncio
import collections.abc
import gc
import inspect
import threading
import warnings
import weakref

import pytest

from myrmidon import errors


def echo(message):
    return message


def test_g5_an_ask_is_a_coroutine_to_asyncio(rt):
    pid = rt.spawn(echo)

    async def main():
        asking = rt.ask(pid, b"asked")
        assert asyncio.iscoroutine(asking) and isinstance(asking, collections.abc.Coroutine)
        assert inspect.isawaitable(asking) and not asyncio.isfuture(asking)
        assert await asking == b"asked"
        assert await asyncio.create_task(rt.ask(pid, b"task")) == b"task"
        assert await asyncio.wait_for(rt.ask(pid, b"limit"), 30) == b"limit"
        assert await asyncio.shield(rt.ask(pid, b"shield")) == b"shield"
        return await asyncio.gather(rt.ask(pid, b"one"), rt.ask(pid, b"two"))

    assert asyncio.run(main()) == [b"one", b"two"]
    assert asyncio.run(rt.ask(pid, b"run")) == b"run"


def test_g5_nobody_is_asked_before_somebody_awaits_and_who_forgets_to_is_warned(rt):
    handled = []
    pid = rt.spawn(lambda message: handled.append(bytes(message)))
    with pytest.warns(RuntimeWarning, match="never awaited"):
        rt.ask(pid, b"forgotten")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rt.ask(pid, b"closed").close()
        asyncio.run(rt.ask(pid, b"awaited"))
    assert handled == [b"awaited"]


def test_g5_a_warning_leaves_the_error_alone_that_is_on_its_way(rt):
    def forget():
        asking = rt.ask(1, b"x")
        raise ValueError(repr(asking))

    with pytest.warns(RuntimeWarning, match="never awaited"):
        try:
            forget()
        except ValueError as error:
            error.__traceback__ = None


def test_g5_an_ask_is_awaited_once(rt):
    pid = rt.spawn(echo)

    async def main():
        asking = rt.ask(pid, b"once")
        assert await asking == b"once"
        with pytest.raises(RuntimeError, match="awaited before"):
            await asking
        failing = rt.ask(1, b"nobody")
        with pytest.raises(errors.NoProcess):
            await failing
        with pytest.raises(RuntimeError, match="awaited before"):
            await failing

    asyncio.run(main())


@pytest.mark.parametrize(
    "thrown", [(KeyError("x"),), (KeyError,), (KeyError, "x"), (KeyError, KeyError("x"), None)]
)
def test_g5_what_is_thrown_into_an_ask_ends_it(rt, thrown):
    release = threading.Event()
    pid = rt.spawn(lambda message: release.wait(30) and b"late")

    async def main():
        asking = rt.ask(pid, b"question")
        assert asyncio.isfuture(asking.send(None))
        with pytest.raises(KeyError):
            asking.throw(*thrown)
        with pytest.raises(RuntimeError, match="awaited before"):
            asking.send(None)

    try:
        asyncio.run(main())
    finally:
        release.set()


def test_g5_what_is_no_exception_cannot_be_thrown_into_an_ask(rt):
    asking = rt.ask(1, b"x")
    with pytest.raises(TypeError):
        asking.throw(1)


def test_an_ask_and_its_task_say_what_they_are(rt):
    gate = threading.Event()
    pid = rt.spawn(lambda message: gate.wait(20) and message, blocking=True)

    async def main():
        asking = rt.ask(pid, b"x")
        assert repr(asking) == f"<myrmidon.Asking of actor {pid}, not awaited yet>"
        task = asyncio.create_task(asking)
        await asyncio.sleep(0)
        assert repr(asking) == "<myrmidon.Asking under way>"
        assert "coro=<Runtime.ask()> wait_for=<myrmidon.Promise pending>" in repr(task)
        gate.set()
        assert await task == b"x"
        assert repr(asking) == "<myrmidon.Asking over>"

    asyncio.run(main())


def test_g5_an_error_is_raised_where_the_ask_is_awaited(rt):
    def fails(message):
        raise LookupError(message.decode())

    async def main(data):
        await rt.ask(rt.spawn(fails), data)

    with pytest.raises(LookupError, match="lost") as raised:
        asyncio.run(main(b"lost"))
    assert {"main", "fails"} <= {frame.name for frame in raised.traceback}
    with pytest.raises(TypeError, match="bytes, not int"):
        asyncio.run(main(1))


def test_g5_an_ask_in_a_cycle_is_collected(rt):
    """What it is to send can lead back to it."""

    class Data(bytearray):
        asking = None

    data = Data(b"question")
    gone = weakref.ref(data)
    data.asking = rt.ask(1, data)
    del data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    assert gone() is None
