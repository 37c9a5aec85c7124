"""Waiting in event loops."""

import asyncio
import threading

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import errors


def test_a_name_is_resolved_without_blocking_the_loop(pair):
    here, there, addr = pair
    pid = there.spawn(Inbox(), name="auth-service")

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())
        found = await asyncio.gather(*(here.resolve_remote_py(addr, "auth-service") for _ in range(20)))
        missing = await asyncio.create_task(here.resolve_remote_py(addr, "nobody"))
        ticker.cancel()
        return found, missing, ticks

    found, missing, ticks = asyncio.run(main())
    assert found == [pid] * 20
    assert missing is None
    assert ticks > 1


def test_several_loops_in_several_threads(pair):
    here, there, addr = pair
    pid = there.spawn(Inbox(), name="service")
    found = Inbox()

    def loop():
        async def main():
            for _ in range(10):
                found.append(await here.resolve_remote_py(addr, "service"))

        asyncio.run(main())

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [pid] * 40


def test_a_failure_is_an_exception_of_the_await(make_runtime, transport):
    rt, other = make_runtime(transport, connect_timeout=1.0, request_timeout=1.0), make_runtime(transport)
    addr = other.listen("127.0.0.1:0")
    other.shutdown()

    async def main():
        with pytest.raises((errors.NodeDown, errors.Timeout)):
            await rt.resolve_remote_py(addr, "x")
        with pytest.raises(errors.AddressError):
            await rt.resolve_remote_py("nowhere", "x")

    asyncio.run(main())


def test_a_cancelled_await_gives_up_and_a_closed_loop_does_no_harm(make_runtime):
    import socket

    rt = make_runtime()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = "127.0.0.1:%d" % silent.getsockname()[1]

        async def main():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(rt.resolve_remote_py(addr, "x"), 0.05)
            task = asyncio.create_task(rt.resolve_remote_py(addr, "x"))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
    inbox = Inbox()
    rt.send(rt.spawn(inbox), b"fine")
    eventually(lambda: inbox)


def test_a_frozen_handler_does_not_hold_up_the_answer(pair):
    here, there, addr = pair
    pid = there.spawn(Inbox(), name="service")
    gate = threading.Event()
    here.send(here.spawn(lambda message: gate.wait(20)), b"freeze the lane")
    try:
        assert asyncio.run(asyncio.wait_for(here.resolve_remote_py(addr, "service"), 10)) == pid
    finally:
        gate.set()


def test_an_async_block_ends_the_runtime():
    async def main():
        async with myrmidon.Runtime() as rt:
            inbox = Inbox()
            rt.send(rt.spawn(inbox), b"x")
        return rt, inbox

    rt, inbox = asyncio.run(main())
    assert rt.closed
    assert inbox == [b"x"]


def test_shutdown_ends_what_is_awaited(make_runtime):
    import socket

    rt = make_runtime(request_timeout=1000.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = "127.0.0.1:%d" % silent.getsockname()[1]

        async def main():
            task = asyncio.create_task(rt.resolve_remote_py(addr, "x"))
            await asyncio.sleep(0)
            await asyncio.get_running_loop().run_in_executor(None, rt.shutdown)
            with pytest.raises((errors.RuntimeClosed, errors.NodeDown)):
                await task

        asyncio.run(asyncio.wait_for(main(), 20))


def test_shutdown_ends_a_blocked_resolve(make_runtime):
    import socket

    rt = make_runtime(request_timeout=1000.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = "127.0.0.1:%d" % silent.getsockname()[1]
        threading.Timer(0.05, rt.shutdown).start()
        with pytest.raises((errors.RuntimeClosed, errors.NodeDown)):
            rt.resolve_remote(addr, "x")


def test_a_call_that_waits_for_an_actor_of_its_own_loop_is_refused_at_once(rt):
    entered, gate = asyncio.Event(), asyncio.Event()

    async def handler(message):
        entered.set()
        await gate.wait()
        return message

    class Held(myrmidon.Actor):
        async def wait(self) -> int:
            return 1

    async def main():
        pid = rt.spawn(handler, mailbox=myrmidon.Bounded(1, policy="block"))
        with pytest.raises(errors.Busy, match=r"await rt\.ask"):
            rt.ask_sync(pid, b"x", timeout=None)
        with pytest.raises(errors.Busy, match=r"await rt\.ask"):
            rt.start(Held).call_sync(Held.wait)
        asking = asyncio.create_task(rt.ask(pid, b"x"))
        await entered.wait()
        assert rt.send(pid, b"y")
        with pytest.raises(errors.Busy, match=r"await rt\.send_blocking_py"):
            while True:
                rt.send_blocking(pid, b"z")
        rt.stop(pid)
        with pytest.raises(errors.Busy, match=r"await rt\.join_py"):
            rt.join(pid)
        gate.set()
        assert await asking == b"x"
        assert (await rt.join_py(pid, 10)).kind in ("normal", "noproc")
        assert rt.join(pid).kind == "noproc"

    asyncio.run(main())


def test_a_call_that_waits_for_an_actor_of_another_loop_waits(rt):
    async def handler(message):
        return message

    async def main():
        pid = await asyncio.to_thread(rt.spawn, handler)
        assert rt.ask_sync(pid, b"x") == b"x"
        here = rt.spawn(handler)
        rt.hot_swap(here, lambda message: b"plain")
        while await rt.ask(here, b"x") != b"plain":
            pass
        assert rt.ask_sync(here, b"x") == b"plain"

    asyncio.run(main())
