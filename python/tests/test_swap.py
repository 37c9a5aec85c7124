"""Hot swap (D5, S40)."""

import asyncio
import threading

import pytest
from support import Inbox, eventually

from myrmidon import errors


def labelled(log, label):
    return lambda message: log.append((label, message))


def test_send_swap_send_runs_old_then_new(rt):
    log = []
    pid = rt.spawn(labelled(log, "A"), budget=10)
    for number in range(100):
        rt.send(pid, b"%d" % number)
    assert rt.hot_swap(pid, labelled(log, "B")) == 2
    for number in range(100):
        rt.send(pid, b"%d" % number)
    eventually(lambda: len(log) == 200)
    assert log == [("A", b"%d" % n) for n in range(100)] + [("B", b"%d" % n) for n in range(100)]


def test_the_message_being_handled_finishes_on_the_old_code(rt):
    log = []

    def old(message):
        rt.hot_swap(pid, labelled(log, "new"), now=True)
        log.append(("old", message))

    pid = rt.spawn(old)
    rt.send(pid, b"1")
    rt.send(pid, b"2")
    eventually(lambda: len(log) == 2)
    assert log == [("old", b"1"), ("new", b"2")]


def test_versions_count_and_rollback_goes_back(rt):
    log = []
    pid = rt.spawn(labelled(log, 1))
    assert rt.version(pid) == 1
    with pytest.raises(errors.NoHistory):
        rt.rollback(pid)
    assert rt.hot_swap(pid, labelled(log, 2)) == 2
    rt.send(pid, b"")
    assert rt.rollback(pid) == 3
    rt.send(pid, b"")
    eventually(lambda: len(log) == 2)
    assert [label for label, _ in log] == [2, 1]
    assert rt.version(pid) == 3


def test_a_swap_of_the_dead_is_an_error(rt):
    pid = rt.spawn(Inbox())
    rt.kill(pid)
    rt.join(pid)
    with pytest.raises(errors.NoProcess):
        rt.hot_swap(pid, Inbox())
    with pytest.raises(errors.NoProcess):
        rt.hot_swap(0, Inbox())
    assert rt.version(pid) is None


def test_an_observed_actor_records_its_swap_and_then_the_new_code_receives(rt):
    pid = rt.spawn_observed_handler()
    rt.send(pid, b"before")
    inbox = Inbox()
    assert rt.hot_swap(pid, inbox) == 2
    rt.send(pid, b"after")
    eventually(lambda: list(inbox) == [b"after"])
    before, swap = rt.get_messages(pid)
    assert before == b"before"
    assert (swap.type_name, swap.target_pid, swap.version) == ("HOT_SWAP", pid, 2)


def test_observed_actors_record_ping_and_pong(rt):
    pid = rt.spawn_observed_handler()
    other = rt.spawn_observed_handler()
    rt.ping(pid, other)
    (ping,) = eventually(lambda: rt.get_messages(pid))
    (pong,) = eventually(lambda: rt.get_messages(other))
    assert (ping.type_name, ping.from_pid, ping.target_pid) == ("PING", other, pid)
    assert (pong.type_name, pong.from_pid, pong.target_pid) == ("PONG", pid, other)


def test_a_thousand_swaps_under_load_lose_nothing(rt):
    counted = [0]

    def make(_):
        def handler(message):
            counted[0] += 1

        return handler

    pid = rt.spawn(make(0), budget=5)
    for number in range(1000):
        rt.send(pid, b"x")
        rt.hot_swap(pid, make(number))
        rt.send(pid, b"x")
    eventually(lambda: counted[0] == 2000)
    assert rt.version(pid) == 1001


async def thread_of(message):
    return b"%d" % threading.get_ident()


def most_at_a_time():
    running = most = 0

    async def handler(message):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return b"%d" % most

    return handler


async def most_of(rt, pid):
    return max(map(int, await asyncio.gather(*(rt.ask(pid, b"") for _ in range(10)))))


def test_s40_a_swap_keeps_loop_and_concurrency(rt):
    async def main():
        pid = rt.spawn(thread_of, concurrency=5)
        await asyncio.to_thread(rt.hot_swap, pid, thread_of)
        assert int(await rt.ask(pid, b"")) == threading.get_ident()
        await asyncio.to_thread(rt.hot_swap, pid, most_at_a_time())
        assert 1 < await most_of(rt, pid) <= 5
        rt.rollback(pid)
        assert int(await rt.ask(pid, b"")) == threading.get_ident()

    asyncio.run(main())


def test_s40_a_swap_says_how_the_new_code_runs(rt):
    async def main():
        pid = await asyncio.to_thread(rt.spawn, thread_of)
        assert int(await rt.ask(pid, b"")) != threading.get_ident()
        rt.hot_swap(pid, thread_of)
        assert int(await rt.ask(pid, b"")) != threading.get_ident(), "not where it was swapped"
        rt.hot_swap(pid, thread_of, loop=asyncio.get_running_loop())
        assert int(await rt.ask(pid, b"")) == threading.get_ident()
        rt.hot_swap(pid, most_at_a_time(), concurrency=3)
        assert 1 < await most_of(rt, pid) <= 3
        rt.hot_swap(pid, most_at_a_time(), concurrency=1)
        assert await most_of(rt, pid) == 1

    asyncio.run(main())


def test_s40_a_handler_in_the_place_of_a_pull_actor_runs_in_its_loop(rt):
    async def function(mailbox):
        async for _ in mailbox:
            pass

    async def main():
        pid = rt.spawn_with_mailbox(function)
        await asyncio.to_thread(rt.hot_swap, pid, thread_of)
        assert int(await rt.ask(pid, b"")) == threading.get_ident()

    asyncio.run(main())
