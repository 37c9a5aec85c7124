"""Supervisors as values, from Python. The rules themselves are proven in Rust."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterator

import pytest
from support import Inbox, eventually, in_time

import myrmidon
from myrmidon import Actor, ActorRef, Child, Runtime, Supervisor, dynamic, one_for_all, one_for_one, rest_for_one, worker
from myrmidon.errors import Busy, ChildError, NoProcess, RuntimeClosed, SpecError, Unsupported


def fragile(message: bytes) -> None:
    if message == b"crash":
        raise RuntimeError("by order")


def three(spec: str) -> myrmidon.SupervisorSpec:
    make = {"one_for_one": one_for_one, "one_for_all": one_for_all, "rest_for_one": rest_for_one}[spec]
    return make([worker(fragile, id=name) for name in "abc"], max_restarts=10, within=1.0)


def pids(supervisor: myrmidon.Supervisor) -> list[int]:
    return [child.pid for child in supervisor.children() if child.pid is not None]


@pytest.mark.parametrize(
    ("strategy", "kept"),
    [("one_for_one", [0, 2]), ("one_for_all", []), ("rest_for_one", [0])],
)
def test_s04_s05_s06_the_strategy_says_who_is_restarted(rt: Runtime, strategy: str, kept: list[int]) -> None:
    supervisor = rt.supervise(three(strategy))
    before = pids(supervisor)
    rt.send(before[1], b"crash")

    def restarted() -> list[int]:
        now = pids(supervisor)
        return now if len(now) == 3 and now != before else []

    after = eventually(restarted)
    assert isinstance(after, list)
    assert [place for place in range(3) if before[place] == after[place]] == kept
    assert all(map(rt.is_alive, after))
    assert not any(map(rt.is_alive, set(before) - set(after)))


def test_s02_a_child_that_does_not_start_leaves_nothing_behind(rt: Runtime) -> None:
    def broken(rt: Runtime) -> int:
        raise OSError("no such device")

    with pytest.raises(ChildError, match=r"(?s)'?\"?broken.*no such device.*in broken"):
        rt.supervise(one_for_one([worker(fragile), Child(broken)]))
    eventually(lambda: not rt.actors())


@pytest.mark.parametrize("made", [None, "x", 0])
def test_a_start_function_returns_a_pid(rt: Runtime, made: object) -> None:
    with pytest.raises(ChildError, match="returns a PID or an ActorRef"):
        rt.supervise(one_for_one([Child(lambda rt: made)]))  # type: ignore[arg-type, return-value]


def test_s16_a_tree_has_supervisors_below_supervisors(rt: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    below = one_for_one([worker(fragile, id="leaf")], max_restarts=0)
    supervisor = rt.supervise(one_for_one([Child(below, id="below")]))
    (before,) = supervisor.children()
    assert before.supervisor and before.id == "below"
    (leaf,) = set(rt.actors()) - {supervisor.pid, before.pid}
    with caplog.at_level(logging.WARNING, "myrmidon"):
        rt.send(leaf, b"crash")
        eventually(lambda: pids(supervisor) not in ([], [before.pid]))
        eventually(lambda: "failed too often" in caplog.text)
    assert len(rt.actors()) == 3


def test_s03_stop_ends_the_children_last_first(rt: Runtime) -> None:
    ends = Inbox()
    spec = one_for_one([worker(fragile, id=name) for name in "abc"])
    supervisor = rt.supervise(spec)
    watcher = rt.spawn(lambda end: ends.append(end.target_pid))
    started = pids(supervisor)
    for pid in started:
        rt.monitor(watcher, pid)
    assert supervisor.stop()
    assert rt.join(supervisor.pid, 10).kind == "normal"
    eventually(lambda: len(ends) == 3)
    assert ends == started[::-1]
    assert not supervisor.stop()
    with pytest.raises(NoProcess):
        supervisor.children()
    assert "ended" in repr(supervisor)


def test_s07_s09_dynamic_children_come_and_go(rt: Runtime) -> None:
    supervisor = rt.supervise(dynamic(max_children=2))
    first = supervisor.start_child(worker(fragile, id="first"))
    second = supervisor.start_child(Child(lambda rt: rt.spawn(fragile)))
    assert pids(supervisor) == [first, second]
    with pytest.raises(ChildError, match="max_children"):
        supervisor.start_child(worker(fragile, id="third"))
    supervisor.stop_child("first")
    assert not rt.is_alive(first)
    assert pids(supervisor) == [second]
    with pytest.raises(ChildError, match="keeps no stopped children"):
        supervisor.restart_child("first")


def test_children_are_stopped_restarted_and_deleted_by_id(rt: Runtime) -> None:
    supervisor = rt.supervise(three("one_for_one"))
    with pytest.raises(ChildError, match="runs: stop it"):
        supervisor.delete_child("b")
    supervisor.stop_child("b")
    assert [child.pid is None for child in supervisor.children()] == [False, True, False]
    pid = supervisor.restart_child("b")
    assert pids(supervisor)[1] == pid
    supervisor.stop_child("b")
    supervisor.delete_child("b")
    assert [child.id for child in supervisor.children()] == ["a", "c"]
    with pytest.raises(ChildError, match="no child"):
        supervisor.stop_child("b")


def test_s11_s12_restart_says_who_comes_again(rt: Runtime) -> None:
    def end(kind: str) -> list[str]:
        spec = one_for_one(
            [worker(fragile, id=restart, restart=restart) for restart in ("permanent", "transient", "temporary")],
            max_restarts=10,
        )
        supervisor = rt.supervise(spec)
        before = pids(supervisor)
        for pid in before:
            rt.send(pid, b"crash") if kind == "crash" else rt.stop(pid)
        eventually(lambda: not any(map(rt.is_alive, before)))
        eventually(lambda: "permanent" in alive(supervisor))
        eventually(lambda: len(supervisor.children()) == 2)
        expected = 2 if kind == "crash" else 1
        eventually(lambda: len(alive(supervisor)) == expected)
        return alive(supervisor)

    def alive(supervisor: myrmidon.Supervisor) -> list[str]:
        return [child.id for child in supervisor.children() if child.pid and rt.is_alive(child.pid)]

    assert end("stop") == ["permanent"]
    assert end("crash") == ["permanent", "transient"]


def test_s19_a_stubborn_child_is_killed_when_its_time_is_over(rt: Runtime) -> None:
    begun = Inbox()

    async def hold_on(message: bytes) -> None:
        begun(message)
        await asyncio.sleep(3600)

    supervisor = rt.supervise(one_for_one([worker(hold_on, shutdown=0.05)]))
    (pid,) = pids(supervisor)
    ends = rt.spawn_observed_handler()
    rt.monitor(ends, pid)
    rt.send_many(pid, [b"one", b"two"])
    eventually(lambda: begun == [b"one"])
    supervisor.stop()
    assert rt.join(supervisor.pid, 20).kind == "normal"
    ended = eventually(lambda: rt.get_messages(ends))
    assert isinstance(ended, list)
    assert [(end.target_pid, end.reason) for end in ended] == [(pid, "killed")]
    assert begun == [b"one"]


def test_children_end_with_a_supervisor_that_is_killed(rt: Runtime) -> None:
    supervisor = rt.supervise(three("one_for_all"))
    rt.kill(supervisor.pid)
    eventually(lambda: not rt.actors())


def test_s21_s34_a_child_that_traps_exits_ends_with_a_supervisor_that_is_killed(rt: Runtime) -> None:
    supervisor = rt.supervise(one_for_one([worker(fragile, id="a", trap_exit=True), worker(fragile, id="b")]))
    rt.kill(supervisor.pid)
    eventually(lambda: not rt.actors())


@pytest.fixture
def held(make_runtime: Callable[..., Runtime]) -> Iterator[Runtime]:
    """A runtime all of whose threads for blocking work are held."""
    rt, begun, gate = make_runtime(blocking_threads=2), threading.Semaphore(0), threading.Event()

    def hold(message: bytes) -> None:
        begun.release()
        gate.wait(60)

    for _ in range(2):
        rt.send(rt.spawn(hold, blocking=True), b"x")
        assert begun.acquire(timeout=10)
    yield rt
    gate.set()


def test_s01_s10_trees_start_and_heal_while_all_threads_for_blocking_work_are_held(held: Runtime) -> None:
    supervisor = in_time(lambda: held.supervise(three("one_for_all")))
    assert isinstance(supervisor, Supervisor)
    before = in_time(supervisor.children)
    assert isinstance(before, list)
    held.send(before[0].pid, b"crash")

    def healed() -> bool:
        now = in_time(supervisor.children)
        assert isinstance(now, list)
        return all(child.pid for child in now) and not {child.pid for child in now} & {child.pid for child in before}

    eventually(healed)
    in_time(lambda: supervisor.stop_child("b"))
    assert isinstance(in_time(lambda: supervisor.restart_child("b")), int)
    assert isinstance(in_time(lambda: supervisor.start_child(worker(fragile, id="d"))), int)
    bonds = in_time(lambda: held.bonds(supervisor.pid))
    assert isinstance(bonds, myrmidon.ActorBonds) and len(bonds.links) == 4


def test_s01_as_many_trees_as_one_likes_start_at_once(make_runtime: Callable[..., Runtime]) -> None:
    rt, started = make_runtime(blocking_threads=2), Inbox()
    together = threading.Barrier(8)

    def slow(rt: Runtime) -> int:
        together.wait(20)  # None of them is before the others, who all wait for theirs.
        return rt.spawn(fragile)

    def start() -> None:
        started(rt.supervise(one_for_one([Child(slow, id="slow")])))

    for _ in range(8):
        threading.Thread(target=start, daemon=True).start()
    eventually(lambda: len(started) == 8, 20)
    assert in_time(lambda: rt.ask_sync(rt.spawn(lambda message: message, blocking=True), b"x", timeout=10)) == b"x"


def test_s02_a_child_whose_actor_is_dead_has_not_started(rt: Runtime) -> None:
    dead = rt.spawn(fragile)
    rt.kill(dead)
    rt.join(dead)
    with pytest.raises(ChildError, match="not alive"):
        rt.supervise(one_for_one([Child(lambda rt: dead, id="dead")]))


def test_supervise_during_a_shutdown_says_so() -> None:
    rt, begun = Runtime(), threading.Event()

    def slow(rt: Runtime) -> int:
        begun.set()
        eventually(lambda: not rt.actors())
        raise OSError("too late")

    told = Inbox()

    def start() -> None:
        try:
            rt.supervise(one_for_one([Child(slow, id="slow")]))
        except RuntimeClosed as error:
            told(error)

    threading.Thread(target=start, daemon=True).start()
    assert begun.wait(10)
    rt.shutdown(timeout=0)
    eventually(lambda: told)


def test_the_code_of_a_supervisor_is_not_swapped(rt: Runtime) -> None:
    supervisor = rt.supervise(three("one_for_one"))
    with pytest.raises(Unsupported, match="supervisor"):
        rt.hot_swap(supervisor.pid, fragile)
    assert len(pids(supervisor)) == 3


def test_a_child_is_not_stopped_by_a_call_that_holds_up_its_loop(rt: Runtime) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def waits(message: bytes) -> None:
            begun.set()
            await asyncio.sleep(0)

        supervisor = rt.supervise(one_for_one([worker(waits, id="waits"), worker(fragile, id="plain")]))
        (pid, _) = pids(supervisor)
        rt.send(pid, b"x")
        with pytest.raises(Busy, match="await supervisor.stop_child_py"):
            supervisor.stop_child("waits")
        supervisor.stop_child("plain")
        await begun.wait()
        await supervisor.stop_child_py("waits")
        assert pids(supervisor) == []

    asyncio.run(main())


def test_s23_specs_that_make_no_sense_name_the_field(rt: Runtime) -> None:
    for spec, field in [
        (one_for_one([worker(fragile, id="a"), worker(fragile, id="a")]), "children"),
        (one_for_one(within=0.0), "within"),
        (one_for_one([worker(fragile)], max_children=0), "max_children"),
        (one_for_one([worker(fragile, significant=True)]), "significant"),
    ]:
        with pytest.raises(SpecError, match=field):
            rt.supervise(spec)
    with pytest.raises(ValueError, match="strategy"):
        rt.supervise(myrmidon.SupervisorSpec("all_for_none"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="restart"):
        rt.supervise(one_for_one([worker(fragile, restart="sometimes")]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shutdown"):
        rt.supervise(one_for_one([worker(fragile, shutdown=-1.0)]))
    with pytest.raises(TypeError, match="start of child"):
        rt.supervise(one_for_one([Child(12, id="x")]))  # type: ignore[arg-type]


def test_what_is_no_spec_is_refused(rt: Runtime) -> None:
    with pytest.raises(TypeError, match="one_for_one"):
        rt.supervise(fragile)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="worker"):
        rt.supervise(dynamic()).start_child(fragile)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="made by worker"):
        one_for_one([fragile])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="write \\[child\\]"):
        one_for_one(worker(fragile))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callable"):
        worker(5)  # type: ignore[arg-type]
    for number in (-1, 1.5):
        with pytest.raises(ValueError, match="max_restarts"):
            one_for_one(max_restarts=number)  # type: ignore[arg-type]


def test_a_worker_may_be_async_and_handle_several_messages_at_a_time(rt: Runtime) -> None:
    async def main() -> None:
        barrier = asyncio.Event()
        waiting = 0

        async def meets(message: bytes) -> bytes:
            nonlocal waiting
            waiting += 1
            if waiting == 3:
                barrier.set()
            await barrier.wait()
            return b"%d" % (asyncio.get_running_loop() is loop)

        loop = asyncio.get_running_loop()
        tree = one_for_one([worker(meets, concurrency=3, loop=loop)])
        supervisor = await asyncio.to_thread(rt.supervise, tree)
        (pid,) = [child.pid for child in await asyncio.to_thread(supervisor.children)]
        assert pid is not None
        assert await asyncio.gather(*(rt.ask(pid, b"x") for _ in range(3))) == [b"1"] * 3
        await asyncio.to_thread(supervisor.stop)

    asyncio.run(main())


def test_s23_significant_children_end_their_supervisor(rt: Runtime) -> None:
    job = worker(fragile, id="job", restart="transient", significant=True, shutdown=math.inf)
    supervisor = rt.supervise(one_for_one([job, worker(fragile, id="helper")], auto_shutdown="any_significant"))
    rt.stop(pids(supervisor)[0])
    assert rt.join(supervisor.pid, 10).kind == "shutdown"
    assert not rt.actors()


def test_supervisors_can_be_used_inside_a_handler(rt: Runtime) -> None:
    told = Inbox()

    def boss(message: bytes) -> None:
        supervisor = rt.supervise(three("one_for_one"))
        told.append(len(supervisor.children()))

    rt.send(rt.spawn(boss), b"go")
    eventually(lambda: told == [3])


def test_specs_are_values() -> None:
    one, other = three("one_for_one"), three("one_for_one")
    assert one.children[0].but(restart="temporary").restart == "temporary"
    assert one.children[0].id == "a" and one.strategy == other.strategy
    assert "a" in repr(one)
    with pytest.raises(TypeError):
        one.children[0].but(options=myrmidon.Options())
    first, second = Child.of(Here), Child.of(Here)
    assert first == second and hash(first) == hash(second)
    assert len({first, first.but(id="other"), one.children[0]}) == 3


class Here(Actor):
    async def thread(self) -> int:
        return threading.get_ident()


def test_async_children_run_in_the_loop_of_who_supervises_also_after_a_restart(rt: Runtime) -> None:
    async def thread(message: bytes) -> bytes:
        if message == b"crash":
            raise OSError("by order")
        return b"%d" % threading.get_ident()

    async def main() -> None:
        supervisor = rt.supervise(one_for_one([worker(thread, id="one"), Child.of(Here)], max_restarts=3))
        one, two = (child.pid for child in supervisor.children())
        assert one is not None
        assert two is not None
        later = supervisor.start_child(worker(thread, id="later"))
        for pid in (one, later):
            assert int(await rt.ask(pid, b"")) == threading.get_ident()
        assert await ActorRef(rt, two, Here).call(Here.thread) == threading.get_ident()
        with pytest.raises(OSError, match="by order"):
            await rt.ask(one, b"crash")
        while (again := supervisor.children()[0].pid) in (None, one):
            await asyncio.sleep(0.001)
        assert again is not None
        assert int(await rt.ask(again, b"")) == threading.get_ident()

    asyncio.run(main())


def test_children_of_a_loop_that_is_closed_start_again_in_that_of_the_runtime(rt: Runtime) -> None:
    async def thread(message: bytes) -> bytes:
        return b"%d" % threading.get_ident()

    async def main() -> Supervisor:
        return rt.supervise(one_for_one([worker(thread, id="one")], max_restarts=3))

    supervisor = asyncio.run(main())

    def answer() -> bytes | None:
        pid = supervisor.children()[0].pid
        try:
            return rt.ask_sync(pid, b"") if pid is not None else None
        except NoProcess:
            return None

    assert eventually(answer) == rt.ask_sync(rt.spawn(thread), b"")


def test_children_have_a_hash_whatever_their_actors_are_given() -> None:
    class Given(Actor):
        def __init__(self, items: list[int], settings: dict[str, int]) -> None:
            self.items, self.settings = items, settings

    one, other = (Child.of(Given, [number], settings={}) for number in (1, 2))
    assert len({one, other, Child.of(Given, [1], settings={})}) == 2
