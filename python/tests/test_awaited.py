"""The twins of calls that wait, for coroutines: they hold up no loop, and a cancelled one leaves nothing behind."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support import Inbox, eventually, turns_during

import myrmidon
from myrmidon import Actor, Bounded, Child, Runtime, errors, one_for_one, worker
from myrmidon.testing import Simulation


def test_every_call_that_waits_has_a_twin() -> None:
    calls = """remote resolve_remote listen is_node_up send_remote send_blocking join bonds top supervise shutdown""".split()
    twins = {name for name in dir(Runtime) if name.endswith("_py")}
    assert twins == {f"{name}_py" for name in calls}
    calls = ["children", "start_child", "stop_child", "restart_child", "delete_child"]
    assert {name for name in dir(myrmidon.Supervisor) if name.endswith("_py")} == {f"{name}_py" for name in calls}
    assert callable(myrmidon.ActorRef.join_py)


def test_the_end_of_an_actor_is_awaited_while_the_loop_goes_on(rt: Runtime) -> None:
    async def handler(message: bytes) -> None:
        await asyncio.sleep(0)
        raise ValueError(message.decode())

    async def main() -> None:
        pid = rt.spawn(handler)
        joining = asyncio.create_task(rt.join_py(pid))
        await asyncio.sleep(0)
        assert not joining.done()
        rt.send(pid, b"over")
        turns = await turns_during(joining)
        assert turns > 0
        reason = joining.result()
        assert (reason.kind, reason.message) == ("exception", "ValueError: over")
        assert (await rt.join_py(pid)).kind == "noproc"
        assert (await rt.join_py(0)).kind == "noproc"
        with pytest.raises(ValueError, match="timeout"):
            await rt.join_py(rt.spawn(handler), timeout=-1.0)
        with pytest.raises(errors.Timeout, match="still alive"):
            await rt.join_py(rt.spawn(handler), timeout=0.0)

        ref = rt.start(Actor)
        ref.stop()
        assert (await ref.join_py(10)).kind in ("normal", "noproc")

    asyncio.run(main())


def test_an_actor_that_awaits_its_own_end_is_told_so(rt: Runtime) -> None:
    async def handler(message: bytes) -> None:
        await rt.join_py(myrmidon.current() or 0)

    async def main() -> None:
        pid = rt.spawn(handler)
        with pytest.raises(errors.MyrmidonError, match="own end"):
            await rt.ask(pid, b"x")

    asyncio.run(main())


def test_a_cancelled_join_leaves_nothing_with_the_actor(rt: Runtime) -> None:
    async def main() -> None:
        pid = rt.spawn(print)

        for _ in range(100):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(rt.join_py(pid), 0)
        joining = [asyncio.create_task(rt.join_py(pid)) for _ in range(100)]
        await asyncio.sleep(0)
        gone = [weakref.ref(task) for task in joining]
        for task in joining:
            task.cancel()
        done = await asyncio.gather(*joining, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in done)
        del joining, done, task
        gc.collect()
        # What was under way is dropped on a thread of the runtime.
        await asyncio.to_thread(eventually, lambda: gc.collect() >= 0 and not any(task() for task in gone))
        assert rt.is_alive(pid)

    asyncio.run(main())


def test_room_in_a_mailbox_is_awaited(rt: Runtime) -> None:
    begun, gate, handled = threading.Event(), threading.Event(), Inbox()

    def slow(message: bytes) -> None:
        begun.set()
        assert gate.wait(20)
        handled.append(message)

    async def main() -> None:
        pid = rt.spawn(slow, mailbox=Bounded(1, policy="block"), blocking=True)
        assert rt.send(pid, b"first")
        await asyncio.to_thread(begun.wait, 20)
        assert rt.send(pid, b"second")
        with pytest.raises(errors.Busy):
            await rt.send_blocking_py(pid, b"never", timeout=0.01)
        given_up = asyncio.create_task(rt.send_blocking_py(pid, b"never"))
        await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        sending = [asyncio.create_task(rt.send_blocking_py(pid, b"%d" % number)) for number in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in sending)
        gate.set()
        assert await asyncio.gather(*sending) == [True] * 3
        rt.stop(pid)
        await rt.join_py(pid, 10)
        assert await rt.send_blocking_py(pid, b"late") is False
        assert await rt.send_blocking_py(0, b"late") is False

    asyncio.run(main())
    assert handled == [b"first", b"second", b"0", b"1", b"2"]


def test_a_buffer_that_found_no_room_stays_as_it_is(rt: Runtime) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow(message: bytes) -> None:
        begun.set()
        assert gate.wait(20)

    async def main() -> None:
        pid = rt.spawn(slow, mailbox=Bounded(1, policy="block"), blocking=True)
        buffer = myrmidon.Buffer(3)
        assert await rt.send_blocking_py(pid, b"first")
        await asyncio.to_thread(begun.wait, 20)
        assert await rt.send_blocking_py(pid, b"second")
        with pytest.raises(errors.Busy):
            await rt.send_blocking_py(pid, buffer, timeout=0.01)
        assert not buffer.sent
        assert await rt.send_blocking_py(0, buffer) is False
        assert not buffer.sent
        gate.set()
        assert await rt.send_blocking_py(pid, buffer, timeout=20)
        assert buffer.sent

    asyncio.run(main())


def test_an_actor_does_not_await_room_in_its_own_mailbox(rt: Runtime) -> None:
    async def handler(message: bytes) -> None:
        own = myrmidon.current() or 0
        while True:
            await rt.send_blocking_py(own, b"more", timeout=20)

    async def main() -> None:
        pid = rt.spawn(handler, mailbox=Bounded(2, policy="block"))
        with pytest.raises(errors.Busy):
            await rt.ask(pid, b"x", timeout=20)

    asyncio.run(main())


def test_supervisors_are_started_and_asked_without_blocking_the_loop(rt: Runtime) -> None:
    gate = threading.Event()

    def slow(rt: Runtime) -> int:
        assert gate.wait(20)
        return rt.spawn(print, name="slow")

    async def main() -> None:
        starting = asyncio.create_task(rt.supervise_py(one_for_one([worker(print, name="one"), Child(slow, id="two")])))
        await asyncio.sleep(0.01)
        assert not starting.done()
        gate.set()
        supervisor = await starting
        assert [child.id for child in await supervisor.children_py()] == ["one", "two"]
        pid = await supervisor.start_child_py(worker(print, name="three", id="three"))
        assert rt.whereis("three") == pid
        await supervisor.stop_child_py("three")
        assert not rt.is_alive(pid)
        assert await supervisor.restart_child_py("three") == rt.whereis("three")
        with pytest.raises(errors.ChildError):
            await supervisor.delete_child_py("three")
        await supervisor.stop_child_py("three")
        await supervisor.delete_child_py("three")
        assert [child.id for child in await supervisor.children_py()] == ["one", "two"]
        supervisor.stop()
        assert (await rt.join_py(supervisor.pid, 10)).kind in ("normal", "noproc")
        with pytest.raises(errors.NoProcess):
            await supervisor.children_py()
        with pytest.raises(errors.SpecError):
            await rt.supervise_py(one_for_one([worker(print, id="a"), worker(print, id="a")]))

    asyncio.run(main())


def test_an_async_child_of_an_awaited_supervisor_runs_in_the_loop_that_awaits_it(rt: Runtime) -> None:
    async def handler(message: bytes) -> bytes:
        return b"%d" % id(asyncio.get_running_loop())

    async def main() -> None:
        await rt.supervise_py(one_for_one([worker(handler, name="here")]))
        assert await rt.ask(rt.whereis("here") or 0, b"x") == b"%d" % id(asyncio.get_running_loop())

    asyncio.run(main())


@pytest.mark.parametrize("when", ["while it starts", "when it has started"])
def test_a_supervisor_that_nobody_awaits_any_more_is_stopped(rt: Runtime, when: str) -> None:
    gate, started = threading.Event(), threading.Event()

    def slow(rt: Runtime) -> int:
        started.set()
        assert gate.wait(20)
        return rt.spawn(print, name="slow")

    async def main() -> None:
        starting = asyncio.create_task(rt.supervise_py(one_for_one([Child(slow, id="slow")])))
        await asyncio.to_thread(started.wait, 20)
        if when == "when it has started":
            gate.set()
            # Not awaited: the loop is to have no turn between the start and the cancelling.
            eventually(lambda: rt.whereis("slow"))
            eventually(lambda: len(rt.actors()) == 2 and all(rt.info(pid).idle for pid in rt.actors()))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        gate.set()

    asyncio.run(main())
    eventually(lambda: not rt.actors())


def test_what_is_looked_at_is_awaited(rt: Runtime) -> None:
    async def main() -> None:
        pid = rt.spawn(print, trap_exit=True)
        assert (await rt.bonds_py(pid)).trap_exit
        assert [info.pid for info in await rt.top_py(1)] == [pid]
        looking = asyncio.create_task(rt.top_py(1, "reductions", within=0.02))
        await asyncio.sleep(0)
        rt.send_many(pid, [b""] * 100)
        assert await turns_during(looking) > 0
        assert looking.result()[0].pid == pid
        with pytest.raises(ValueError, match="within"):
            await rt.top_py(within=1.0)
        rt.stop(pid)
        await rt.join_py(pid, 10)
        with pytest.raises(errors.NoProcess):
            await rt.bonds_py(pid)

    asyncio.run(main())


def test_the_mesh_is_awaited(make_runtime: Callable[..., Runtime], transport: str) -> None:
    here, there = make_runtime(transport), make_runtime(transport)

    async def main() -> None:
        addr = await there.listen_py("127.0.0.1:0")
        with pytest.raises(errors.ListenError):
            await make_runtime(transport).listen_py(addr)
        inbox = Inbox()
        pid = there.spawn(inbox, name="inbox")
        assert await here.is_node_up_py(addr)
        assert await here.resolve_remote_py(addr, "inbox") == pid
        assert await here.resolve_remote_py(addr, "nobody") is None
        proxy = await here.remote_py(addr, "inbox")
        assert await here.send_blocking_py(proxy, b"0")
        await here.send_remote_py(addr, pid, b"1")
        await here.send_remote_py(addr, pid, bytes(2 << 20))
        await asyncio.to_thread(eventually, lambda: len(inbox) == 3)
        assert inbox[:2] == [b"0", b"1"]
        with pytest.raises(errors.PayloadTooLarge):
            await here.send_remote_py(addr, pid, bytes((64 << 20) + 1))
        for begun in (here.listen_py("x"), here.is_node_up_py("x"), here.send_remote_py("x", pid, b"")):
            with pytest.raises(errors.AddressError):
                await begun
        assert await there.shutdown_py() == 0
        await here.join_py(proxy, 20)
        assert await there.shutdown_py() == 0

    asyncio.run(main())


def test_an_awaited_shutdown_lets_handlers_of_the_loop_finish(make_runtime: Callable[..., Runtime]) -> None:
    rt, done = make_runtime(), Inbox()

    async def handler(message: bytes) -> None:
        await asyncio.sleep(0.01)
        done.append(message)

    async def main() -> None:
        pid = rt.spawn(handler)
        rt.send_many(pid, [b"1", b"2"])
        assert await rt.shutdown_py(timeout=20.0) == 0
        assert rt.closed
        with pytest.raises(errors.RuntimeClosed):
            await rt.join_py(pid)

    asyncio.run(main())
    assert done == [b"1", b"2"]


def test_a_shutdown_ends_what_is_awaited(make_runtime: Callable[..., Runtime]) -> None:
    async def main() -> None:
        rt = make_runtime()
        pid = rt.spawn(print)
        joining = asyncio.create_task(rt.join_py(pid))
        looking = asyncio.create_task(rt.top_py(1, "reductions", within=1000.0))
        await asyncio.sleep(0)
        await rt.shutdown_py()
        try:
            assert (await joining).kind in ("killed", "shutdown")
        except errors.RuntimeClosed:
            pass
        with pytest.raises(errors.RuntimeClosed):
            await looking

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_call_begins_when_it_is_awaited_and_tells_its_name(rt: Runtime) -> None:
    inbox = Inbox()
    pid = rt.spawn(inbox)
    with pytest.warns(RuntimeWarning, match=r"'Runtime\.send_blocking_py' was never awaited"):
        never: Coroutine[Any, Any, bool] | None = rt.send_blocking_py(pid, b"never")
        assert "Runtime.send_blocking_py" in repr(never)
        never = None
        gc.collect()
    rt.stop(pid)
    rt.join(pid)
    assert inbox == []
    with pytest.raises(RuntimeError, match="loop"):
        rt.join_py(pid).send(None)


def test_a_simulation_refuses_to_be_awaited() -> None:
    async def main(rt: Runtime, pid: int) -> None:
        with pytest.raises(TypeError, match="simulation"):
            await rt.join_py(pid)

    with Simulation() as sim:
        asyncio.run(main(sim.rt, sim.rt.spawn(print)))


def test_a_second_shutdown_waits_for_the_first_and_does_not_cut_it_short(make_runtime: Callable[..., Runtime]) -> None:
    begun, gate, done = threading.Event(), threading.Event(), Inbox()

    def handler(message: bytes) -> None:
        begun.set()
        assert gate.wait(20)
        done.append(message)

    async def main() -> None:
        rt = make_runtime()
        rt.send_many(rt.spawn(handler), [b"1", b"2", b"3"])
        await asyncio.to_thread(begun.wait, 20)
        first = asyncio.create_task(rt.shutdown_py(timeout=60.0))
        await asyncio.sleep(0)
        first.cancel()  # It goes down all the same.
        second = asyncio.create_task(rt.shutdown_py(timeout=60.0))
        gate.set()
        assert await second == 0
        assert rt.closed and done == [b"1", b"2", b"3"]

    asyncio.run(main())
