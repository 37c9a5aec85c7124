"""Class actors with `async def` methods: they run in an event loop."""

import asyncio
import threading

import pytest
from support import eventually

import myrmidon
from myrmidon import Actor, ActorRef, Child, Options, Runtime, one_for_one
from myrmidon.errors import NoProcess


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
