"""Handlers on threads of their own (``spawn(blocking=True)``), and several lanes."""

import asyncio
import threading

import pytest
from support import Inbox, eventually, run_program

from myrmidon import errors


@pytest.mark.parametrize("option", ["blocking", "release_gil"])
def test_handlers_that_wait_run_at_the_same_time_and_hold_up_nobody(rt, option):
    barrier = threading.Barrier(20)
    met, quick = Inbox(), Inbox()

    def meet(message):
        barrier.wait(20)
        met(message)

    for _ in range(20):
        rt.send(rt.spawn(meet, **{option: True}), b"x")
        rt.send(rt.spawn(quick), b"x")
    eventually(lambda: len(met) == 20)
    assert len(quick) == 20


def test_g2_one_message_after_another_in_the_order_of_the_sends(rt):
    seen, inside = [], []

    def handler(message):
        inside.append(message)
        seen.append((len(inside), message))
        threading.Event().wait(0)  # lets the interpreter go, so that another thread could step in
        inside.pop()

    pids = [rt.spawn(handler, budget=3, blocking=True)]
    for number in range(300):
        rt.send(pids[0], b"%d" % number)
    eventually(lambda: len(seen) == 300)
    assert seen == [(1, b"%d" % number) for number in range(300)]


def test_at_the_bound_actors_wait_in_line_and_none_is_lost(make_runtime):
    rt = make_runtime(blocking_threads=2)
    gate = threading.Event()
    names, done = set(), Inbox()

    def hold(message):
        names.add(threading.current_thread().ident)
        gate.wait(20)
        done(message)

    pids = [rt.spawn(hold, blocking=True) for _ in range(10)]
    for pid in pids:
        rt.send(pid, b"x")
    eventually(lambda: len(names) == 2)
    lane = Inbox()
    rt.send(rt.spawn(lane), b"the lane goes on")
    eventually(lambda: lane)
    assert sum(rt.mailbox_size(pid) for pid in pids) == 8
    gate.set()
    eventually(lambda: len(done) == 10)
    assert len(names) == 2


def test_a_thread_keeps_its_locals_from_one_message_to_the_next(make_runtime):
    rt = make_runtime(blocking_threads=1)
    own, seen = threading.local(), Inbox()

    def handler(message):
        own.count = getattr(own, "count", 0) + 1
        seen(own.count)

    pids = [rt.spawn(handler, blocking=True) for _ in range(2)]
    for number in range(1, 7):
        rt.send(pids[number % 2], b"x")
        eventually(lambda: len(seen) == number)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_s39_what_a_blocking_handler_raises_ends_its_actor_only(rt):
    def fail(message):
        raise ValueError("as ordered")

    pid, other = rt.spawn(fail, blocking=True), Inbox()
    rest = rt.spawn(other, blocking=True)
    observer = rt.spawn_observed_handler()
    rt.monitor(observer, pid)
    rt.send(pid, b"x")
    (end,) = eventually(lambda: rt.get_messages(observer))
    assert end.reason == "exception" and "as ordered" in end.traceback
    rt.send(rest, b"y")
    eventually(lambda: other == [b"y"])


def test_s40_new_code_of_a_blocking_actor_may_block_too(rt):
    gate, old, new = threading.Event(), Inbox(), Inbox()

    def wait(message):
        gate.wait(20)
        new(message)

    pid = rt.spawn(old, blocking=True)
    rt.send(pid, b"old")
    rt.hot_swap(pid, wait)
    rt.send(pid, b"new")
    eventually(lambda: old == [b"old"] and rt.mailbox_size(pid) == 0)
    lane = Inbox()
    rt.send(rt.spawn(lane), b"x")
    eventually(lambda: lane)
    gate.set()
    eventually(lambda: new == [b"new"])


def test_a_blocking_handler_may_join_and_is_not_reported_as_stalled(rt, caplog):
    other = rt.spawn(Inbox())
    kinds = []
    waiter = rt.spawn(lambda message: kinds.append(rt.join(other).kind), blocking=True)
    gate = threading.Event()
    slow = rt.spawn(lambda message: gate.wait(20), blocking=True)
    stuck = rt.spawn(lambda message: gate.wait(20))
    for pid in (waiter, slow, stuck):
        rt.send(pid, b"x")
    # The one on the lane is reported, so the others would have been.
    eventually(lambda: f"actor {stuck} has run for" in caplog.text)
    assert f"actor {waiter}" not in caplog.text and f"actor {slow}" not in caplog.text
    gate.set()
    rt.stop(other)
    eventually(lambda: kinds == ["normal"])


def test_the_process_ends_while_blocking_handlers_wait():
    program = """
        import threading, time
        import myrmidon

        rt = myrmidon.Runtime()
        inside = threading.Semaphore(0)

        def forever(message):
            inside.release()
            time.sleep(1000)

        def again(message):
            inside.release()
            time.sleep(0.01)
            rt.send(ticking, message)

        for _ in range(8):
            rt.send(rt.spawn(forever, blocking=True), b"x")
        ticking = rt.spawn(again, blocking=True)
        rt.send(ticking, b"x")
        for _ in range(9):
            inside.acquire()
        print("main ends")
    """
    assert run_program(program).stdout == "main ends\n"


@pytest.mark.parametrize("name", ["workers", "python_threads", "blocking_threads"])
@pytest.mark.parametrize("count", [0, 1025])
def test_a_senseless_number_of_threads_is_refused(make_runtime, name, count):
    with pytest.raises(ValueError, match=name):
        make_runtime(**{name: count})


def test_actors_are_dealt_to_several_lanes_and_stay_on_theirs(make_runtime):
    rt = make_runtime(python_threads=3)
    threads = [set() for _ in range(9)]
    seen = Inbox()

    def make(index):
        def handler(message):
            threads[index].add(threading.get_ident())
            seen(message)

        return handler

    pids = [rt.spawn(make(index)) for index in range(9)]
    for number in range(100):
        for pid in pids:
            rt.send(pid, b"%d" % number)
    eventually(lambda: len(seen) == 900)
    assert all(len(own) == 1 for own in threads)
    assert len(set().union(*threads)) == 3


def test_with_several_lanes_a_handler_that_lets_the_interpreter_go_leaves_the_others_running(make_runtime):
    rt = make_runtime(python_threads=2)
    gate, inside, seen = threading.Event(), threading.Event(), Inbox()

    def hold(message):
        inside.set()
        gate.wait(20)

    held = rt.spawn(hold)
    other = rt.spawn(seen)
    rt.send(held, b"x")
    inside.wait(20)
    rt.send(other, b"x")
    eventually(lambda: seen == [b"x"])
    gate.set()


def test_run_stands_for_the_first_of_several_lanes():
    program = """
        import threading
        import myrmidon

        rt = myrmidon.Runtime(python_threads=2)
        threads = {}

        def make(name):
            def handler(message):
                threads[name] = threading.current_thread() is threading.main_thread()
                if len(threads) == 2:
                    rt.shutdown()
            return handler

        one, two = rt.spawn(make("one")), rt.spawn(make("two"))

        def feed():
            rt.send(one, b"x")
            rt.send(two, b"x")

        threading.Timer(0.1, feed).start()
        rt.run()
        print(sorted(threads.values()))
    """
    assert run_program(program).stdout == "[False, True]\n"


def test_send_many_sends_all_in_order_at_once(rt):
    seen = Inbox()
    pid = rt.spawn(seen)
    rt.send(pid, b"first")
    assert rt.send_many(pid, [b"%d" % number for number in range(1000)]) == 1000
    assert rt.send_many(pid, (bytearray(b"a"), memoryview(b"b"))) == 2
    assert rt.send_many(pid, iter([])) == 0
    rt.send(pid, b"last")
    eventually(lambda: len(seen) == 1004)
    assert seen == [b"first", *(b"%d" % number for number in range(1000)), b"a", b"b", b"last"]


def test_send_many_hands_over_the_very_objects(rt):
    seen = Inbox()
    items = [b"one message", b"another one"]
    rt.send_many(rt.spawn(seen), items)
    eventually(lambda: len(seen) == 2)
    assert all(one is other for one, other in zip(seen, items, strict=True))


def test_send_many_sends_nothing_if_one_is_no_message_or_the_actor_is_dead(rt):
    seen = Inbox()
    pid = rt.spawn(seen)
    with pytest.raises(TypeError, match="str"):
        rt.send_many(pid, [b"one", "two"])
    with pytest.raises(TypeError):
        rt.send_many(pid, 5)
    rt.stop(pid)
    rt.join(pid)
    assert rt.send_many(pid, [b"one"]) == 0 and rt.send_many(0, [b"one"]) == 0
    assert seen == []


def test_blocking_handlers_that_ask_others_leave_their_threads_to_them(make_runtime):
    rt = make_runtime(blocking_threads=2)
    front = rt.spawn(lambda message: message, blocking=True)
    for _ in range(10):
        front = rt.spawn(lambda message, behind=front: rt.ask_sync(behind, message, timeout=20), blocking=True)
    assert rt.ask_sync(front, b"through all", timeout=20) == b"through all"


def test_as_many_blocking_handlers_as_there_are_threads_may_ask_at_the_same_time(make_runtime):
    rt = make_runtime(blocking_threads=8)
    barrier = threading.Barrier(8)

    def asks(behind):
        def handler(message):
            barrier.wait(20)
            return rt.ask_sync(behind, message, timeout=20)

        return handler

    front = [rt.spawn(asks(rt.spawn(lambda message: message, blocking=True)), blocking=True) for _ in range(8)]

    async def main():
        return await asyncio.gather(*(rt.ask(pid, b"x", timeout=20) for pid in front))

    assert asyncio.run(main()) == [b"x"] * 8
    # The threads that took their places go, and the bound holds again.
    gate, inside = threading.Event(), Inbox()

    def hold(message):
        inside(message)
        gate.wait(20)

    held = [rt.spawn(hold, blocking=True) for _ in range(12)]
    for pid in held:
        rt.send(pid, b"x")
    eventually(lambda: len(inside) >= 8)
    assert len(inside) == 8
    assert sum(rt.mailbox_size(pid) for pid in held) == 4
    gate.set()
    eventually(lambda: len(inside) == 12)


def test_too_many_blocking_handlers_that_wait_are_told_at_once(make_runtime):
    rt = make_runtime(blocking_threads=1)
    front = rt.spawn(lambda message: message, blocking=True)
    for _ in range(260):
        front = rt.spawn(lambda message, behind=front: rt.ask_sync(behind, message, timeout=60), blocking=True)
    with pytest.raises(errors.Busy, match="255 blocking handlers wait"):
        rt.ask_sync(front, b"too deep", timeout=60)
