"""Class actors with `async def` methods: they run in an event loop."""

import asyncio
import threading

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import Actor, ActorRef, Child, Options, Runtime, one_for_one
from myrmidon.errors import ActorEnded, MyrmidonError, NoProcess


class Missing(Exception):
    pass


class Store(Actor, raises=(Missing,)):
    def __init__(self) -> None:
        self.data: dict[str, int] = {}
        self.running = self.most = 0
        self.hooks: list[str] = []

    def started(self) -> None:
        self.hooks.append("started")

    def stopped(self, reason: myrmidon.ExitReason) -> None:
        self.hooks.append(reason.kind)

    async def put(self, key: str, value: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.data[key] = value
        self.running -= 1

    def get(self, key: str) -> int:
        if key not in self.data:
            raise Missing(key)
        return self.data[key]

    async def crash(self) -> None:
        await asyncio.sleep(0)
        raise OSError("by order")

    def most_at_a_time(self) -> int:
        return self.most

    async def thread(self) -> int:
        return threading.get_ident()

    def hooks_so_far(self) -> list[str]:
        return self.hooks


def test_async_methods_run_in_the_loop_of_who_starts_the_actor(rt: Runtime) -> None:
    async def main() -> None:
        store = rt.start(Store)
        await asyncio.gather(*(store.call(Store.put, str(number), number) for number in range(20)))
        assert await store.call(Store.get, "7") == 7
        assert await store.call(Store.most_at_a_time) == 1, "one call after another"
        assert await store.call(Store.thread) == threading.get_ident()
        with pytest.raises(Missing):
            await store.call(Store.get, "nobody")
        assert await store.call(Store.hooks_so_far) == ["started"]

    asyncio.run(main())


def test_without_a_running_loop_they_run_in_that_of_the_runtime(rt: Runtime) -> None:
    store = rt.start(Store)
    store.cast(Store.put, "a", 1)
    assert store.call_sync(Store.get, "a") == 1
    assert store.call_sync(Store.thread) != threading.get_ident()
    store.stop()
    assert store.join(10).kind in ("normal", "noproc")


def test_concurrency_is_a_choice(rt: Runtime) -> None:
    async def main() -> None:
        store = rt.start_with(Options(concurrency=5), Store)
        await asyncio.gather(*(store.call(Store.put, str(number), number) for number in range(20)))
        assert 1 < await store.call(Store.most_at_a_time) <= 5

    asyncio.run(main())


def test_an_async_method_that_raises_ends_the_actor(rt: Runtime) -> None:
    store = rt.start(Store)
    with pytest.raises(OSError, match="by order"):
        store.call_sync(Store.crash)
    eventually(lambda: not store.is_alive)
    with pytest.raises(NoProcess):
        store.call_sync(Store.get, "a")


def test_async_actors_are_supervised(rt: Runtime) -> None:
    supervisor = rt.supervise(one_for_one([Child.of(Store).but(options=Options(name="store"))], max_restarts=3))
    (first,) = supervisor.children()
    assert first.pid is not None
    ActorRef(rt, first.pid, Store).cast(Store.crash)
    eventually(lambda: rt.whereis("store") not in (None, first.pid))
    again = rt.whereis("store")
    assert again is not None
    ActorRef(rt, again, Store).call_sync(Store.put, "a", 2)


def test_s40_plain_and_async_objects_follow_each_other(rt: Runtime) -> None:
    class Plain(Actor):
        def __init__(self) -> None:
            self.data: dict[str, int] = {}

        def upgrade(self, old: Store, version: int) -> None:
            self.data = old.data

        def get(self, key: str) -> int:
            return self.data[key]

    store = rt.start(Store)
    store.cast(Store.put, "a", 3)
    plain = store.upgrade(Plain)
    assert plain.call_sync(Plain.get, "a") == 3


def test_async_and_blocking_exclude_each_other(rt: Runtime) -> None:
    with pytest.raises(TypeError, match="blocking"):
        rt.start_with(Options(blocking=True), Store)


class Opened(Actor):
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.loops: set[object] = set()

    async def started(self) -> None:
        self.loops.add(asyncio.get_running_loop())
        self.steps.append("opening")
        await asyncio.sleep(0.005)
        self.steps.append("open")

    async def exited(self, event: myrmidon.PySystemMessage) -> None:
        await asyncio.sleep(0)
        self.loops.add(asyncio.get_running_loop())
        self.steps.append(str(event.reason))

    def watch(self, pid: int) -> None:
        self.steps.append("watch")
        self.rt.monitor(self.pid, pid)

    def so_far(self) -> list[str]:
        self.loops.add(asyncio.get_running_loop())
        assert len(self.loops) == 1
        return self.steps


@pytest.mark.parametrize("options", [Options(), Options(concurrency=4), Options(mailbox=myrmidon.Bounded(2))])
def test_async_hooks_are_awaited_in_the_loop_and_started_before_the_first_call(rt: Runtime, options: Options) -> None:
    async def main() -> None:
        opened, other = rt.start_with(options, Opened), rt.spawn(print)
        await opened.call(Opened.watch, other)
        rt.kill(other)
        while len(steps := await opened.call(Opened.so_far)) < 4:
            await asyncio.sleep(0.001)
        assert steps == ["opening", "open", "watch", "killed"]

    asyncio.run(main())


def test_an_async_started_that_raises_ends_the_actor(rt: Runtime) -> None:
    class Broken(Actor):
        async def started(self) -> None:
            await asyncio.sleep(0)
            raise OSError("no door")

        def total(self) -> int:
            return 1

    broken = rt.start(Broken)
    assert broken.join(10).kind in ("exception", "noproc")
    with pytest.raises(NoProcess):
        broken.call_sync(Broken.total)


def test_a_plain_started_of_an_async_class_runs_in_its_loop(rt: Runtime) -> None:
    class Plain(Actor):
        def started(self) -> None:
            self.loop = asyncio.get_running_loop()

        async def is_here(self) -> bool:
            return self.loop is asyncio.get_running_loop()

    assert rt.start(Plain).call_sync(Plain.is_here)


def test_async_hooks_that_nobody_would_await_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Late\.stopped is an async def"):

        class Late(Actor):
            async def stopped(self, reason: myrmidon.ExitReason) -> None: ...  # type: ignore[override]

    with pytest.raises(TypeError, match=r"Newer\.upgrade is an async def"):

        class Newer(Actor):
            async def upgrade(self, old: object, version: int) -> None: ...  # type: ignore[override]


class Where(Actor):
    def __init__(self) -> None:
        self.running = self.most = 0

    async def thread(self) -> int:
        return threading.get_ident()

    async def wait(self) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.005)
        self.running -= 1
        return self.most


def test_s40_an_upgrade_keeps_loop_and_concurrency(rt: Runtime) -> None:
    class Newer(Where):
        pass

    async def main() -> None:
        before = rt.start_with(Options(concurrency=5), Where)
        after = await asyncio.to_thread(before.upgrade, Newer)
        assert await after.call(Newer.thread) == threading.get_ident()
        assert max(await asyncio.gather(*(after.call(Newer.wait) for _ in range(10)))) > 1

    asyncio.run(main())


def test_s40_an_upgrade_heeds_the_options_of_the_new_class(rt: Runtime) -> None:
    async def main() -> None:
        class Newer(Where, options=Options(loop=asyncio.get_running_loop(), concurrency=3)):
            pass

        before = await asyncio.to_thread(rt.start, Where)
        assert await before.call(Where.thread) != threading.get_ident()
        after = await asyncio.to_thread(before.upgrade, Newer)
        assert await after.call(Newer.thread) == threading.get_ident()
        assert 1 < max(await asyncio.gather(*(after.call(Newer.wait) for _ in range(10)))) <= 3

    asyncio.run(main())


def test_an_upgrade_to_a_class_that_blocks_is_refused_where_the_actor_does_not(rt: Runtime) -> None:
    class Plain(Actor):
        def runs_on(self) -> str | None:
            info = self.rt.info(self.pid)
            return info and info.runs_on

    class Blocks(Plain, options=Options(blocking=True)):
        pass

    with pytest.raises(MyrmidonError, match="was not started with blocking=True"):
        rt.start(Plain).upgrade(Blocks)
    assert rt.start(Blocks).upgrade(Blocks).call_sync(Blocks.runs_on) == "blocking"


class Session(Actor, options=Options(concurrency=3)):
    """Its calls take some turns of the loop to let go of what they hold, or until `gate` is set."""

    def __init__(self, events: Inbox, gate: threading.Event | None = None) -> None:
        self.events, self.gate = events, gate

    def started(self) -> None:
        self.events("started")

    def stopped(self, reason: myrmidon.ExitReason) -> None:
        self.events("stopped")

    async def hold(self) -> None:
        self.events("held")
        try:
            await asyncio.sleep(3600)
        finally:
            left = 20
            while left if self.gate is None else not self.gate.is_set():
                left -= 1
                await asyncio.sleep(0.002)
            self.events("let go")

    async def boom(self) -> None:
        raise OSError("by order")


@pytest.mark.parametrize("way", ["exception", "bad", "kill"])
def test_s05_an_actor_is_started_anew_once_the_calls_of_the_old_have_let_go(rt: Runtime, way: str) -> None:
    events = Inbox()
    gate = threading.Event() if way == "kill" else None
    supervisor = rt.supervise(one_for_one([Child.of(Session, events, gate)], max_restarts=3))
    pid = supervisor.children()[0].pid
    assert pid is not None
    session = ActorRef(rt, pid, Session)
    session.cast(Session.hold)
    session.cast(Session.hold)
    eventually(lambda: events.count("held") == 2)
    if way == "exception":
        session.cast(Session.boom)
    elif way == "kill":
        rt.kill(pid)
    else:
        rt.exit(pid, way)
    eventually(lambda: events.count("started") == 2)
    if gate is None:
        assert events == ["started", "held", "held", "let go", "let go", "stopped", "started"]
    else:
        assert events == ["started", "held", "held", "started"]  # Nothing is waited for.
        gate.set()
        eventually(lambda: events.count("let go") == 2)


def test_s05_nothing_begins_in_an_object_whose_stopped_runs(rt: Runtime) -> None:
    begun, stopping, gate = threading.Event(), threading.Event(), threading.Event()

    class Slow(Actor):
        def stopped(self, reason: myrmidon.ExitReason) -> None:
            stopping.set()
            assert gate.wait(20)

        async def touch(self) -> None:
            begun.set()

    async def main() -> None:
        slow = rt.start(Slow)
        await asyncio.sleep(0.01)
        joined = asyncio.create_task(slow.join_py(20))
        await asyncio.sleep(0)
        # What it is sent lies there, as this loop does not go on, until it ends.
        slow.cast(Slow.touch)
        rt.exit(slow.pid, "bad")
        assert stopping.wait(20)
        for _ in range(10):
            await asyncio.sleep(0.002)
        assert not begun.is_set()
        gate.set()
        assert (await joined).kind == "other"

    asyncio.run(main())
    assert not begun.is_set()


def test_s38_who_asked_for_a_cancelled_call_hears_of_the_end_when_that_is_over(rt: Runtime) -> None:
    events = Inbox()
    session = rt.start(Session, events)
    told = Inbox()

    def ask() -> None:
        try:
            session.call_sync(Session.hold)
        except ActorEnded as error:
            told((str(error), list(events), rt.is_alive(session.pid)))

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: events.count("held") == 1)
    rt.exit(session.pid, "bad")
    rt.exit(session.pid, "worse")  # It ends for the first reason, and once.
    thread.join(20)
    ((text, then, alive),) = told
    assert "bad" in text and "let go" in then and not alive


def test_an_actor_does_not_wait_for_ever_for_a_call_that_does_not_let_go(rt: Runtime) -> None:
    events, gate = Inbox(), threading.Event()
    session = rt.start(Session, events, gate)
    session.cast(Session.hold)
    eventually(lambda: "held" in events)
    rt.exit(session.pid, "bad")
    assert "bad" in str(rt.join(session.pid, 20))
    assert events == ["started", "held", "stopped"]
    gate.set()
    eventually(lambda: "let go" in events)
