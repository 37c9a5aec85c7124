"""Timers."""

import time

import pytest
from support import Inbox, eventually

from myrmidon import errors


def test_send_after_fires_once_and_not_early(rt):
    arrived = []
    pid = rt.spawn(lambda message: arrived.append((message, time.monotonic())))
    start = time.monotonic()
    timer = rt.send_after(pid, 0.05, b"later")
    assert isinstance(timer, int)
    ((message, when),) = eventually(lambda: arrived)
    assert message == b"later"
    assert when - start >= 0.05
    assert not rt.cancel_timer(timer)


def test_timers_fire_in_the_order_of_their_times(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    rt.send_after(pid, 0.06, b"second")
    rt.send_after(pid, 0.02, b"first")
    eventually(lambda: len(inbox) == 2)
    assert inbox == [b"first", b"second"]


def test_a_cancelled_timer_does_not_fire(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    timer = rt.send_after(pid, 0.03, b"never")
    assert rt.cancel_timer(timer)
    assert not rt.cancel_timer(timer)
    rt.send_after(pid, 0.06, b"end")
    eventually(lambda: b"end" in inbox)
    assert inbox == [b"end"]


def test_an_interval_repeats_until_cancelled(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    timer = rt.send_interval(pid, 0.005, b"tick")
    eventually(lambda: len(inbox) >= 5)
    assert rt.cancel_timer(timer)
    rt.send_after(pid, 0.05, b"end")
    eventually(lambda: b"end" in inbox)
    assert inbox[-1] == b"end"


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_times_that_make_no_sense_are_refused(rt, delay):
    with pytest.raises(ValueError, match="delay"):
        rt.send_after(rt.spawn(Inbox()), delay, b"")


def test_an_interval_of_nothing_is_refused(rt):
    with pytest.raises(ValueError, match="interval"):
        rt.send_interval(rt.spawn(Inbox()), 0, b"")


def test_a_timer_for_no_pid_is_refused(rt):
    with pytest.raises(errors.NoProcess):
        rt.send_after(0, 1.0, b"")
