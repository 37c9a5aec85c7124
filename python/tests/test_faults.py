"""What a handler raises becomes its actor's exit reason (S39)."""

import logging

import pytest
from support import Inbox, eventually

import myrmidon


def fail(message):
    raise ValueError(message.decode())


def test_an_exception_is_the_exit_reason_with_type_text_and_traceback(rt):
    watcher = rt.spawn_observed_handler()
    pid = rt.spawn(fail)
    rt.monitor(watcher, pid)
    rt.send(pid, b"boom")
    (message,) = eventually(lambda: rt.get_messages(watcher))
    assert isinstance(message, myrmidon.PySystemMessage)
    assert (message.type_name, message.target_pid, message.reason) == ("EXIT", pid, "exception")
    assert message.metadata == "ValueError: boom"
    assert "in fail" in message.traceback
    assert "EXIT" in repr(message)
    assert not rt.is_alive(pid)


def test_join_returns_the_exception(rt):
    pid = rt.spawn(fail, name="failing")
    rt.monitor(rt.spawn_observed_handler(), pid)
    import threading

    reasons = []
    waiting = threading.Thread(target=lambda: reasons.append(rt.join(pid, timeout=10)))
    waiting.start()
    eventually(lambda: waiting.is_alive())
    rt.send(pid, b"boom")
    waiting.join()
    assert reasons[0].kind in ("exception", "noproc")
    assert rt.whereis("failing") is None


def test_a_cause_is_part_of_the_traceback(rt):
    def handler(message):
        try:
            fail(message)
        except ValueError as error:
            raise KeyError("outer") from error

    watcher = rt.spawn_observed_handler()
    pid = rt.spawn(handler)
    rt.monitor(watcher, pid)
    rt.send(pid, b"inner")
    (message,) = eventually(lambda: rt.get_messages(watcher))
    assert "ValueError: inner" in message.traceback
    assert "direct cause" in message.traceback
    assert message.metadata == "KeyError: 'outer'"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_no_exception_of_a_handler_ends_the_process(rt, error):
    def handler(message):
        raise error

    watcher = rt.spawn_observed_handler()
    pid = rt.spawn(handler)
    rt.monitor(watcher, pid)
    rt.send(pid, b"x")
    (message,) = eventually(lambda: rt.get_messages(watcher))
    assert message.reason == "exception"
    assert type(error).__name__ in message.metadata
    inbox = Inbox()
    rt.send(rt.spawn(inbox), b"still here")
    eventually(lambda: inbox)


def test_an_exception_that_cannot_be_shown_is_still_an_exit(rt):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def handler(message):
        raise Odd

    watcher = rt.spawn_observed_handler()
    pid = rt.spawn(handler)
    rt.monitor(watcher, pid)
    rt.send(pid, b"x")
    (message,) = eventually(lambda: rt.get_messages(watcher))
    assert "Odd" in message.metadata


def test_a_crash_that_nobody_hears_of_is_logged_once_with_its_traceback(rt, caplog):
    with caplog.at_level(logging.ERROR, logger="myrmidon.actor"):
        pid = rt.spawn(fail)
        rt.send(pid, b"alone")
        eventually(lambda: caplog.records)
        eventually(lambda: not rt.is_alive(pid))
        rt.shutdown()
    (record,) = caplog.records
    assert record.name == "myrmidon.actor"
    assert str(pid) in record.getMessage()
    assert "ValueError: alone" in record.getMessage()
    assert "in fail" in record.getMessage()


def test_a_crash_that_somebody_hears_of_is_not_logged(rt, caplog):
    with caplog.at_level(logging.ERROR, logger="myrmidon.actor"):
        watcher = rt.spawn_observed_handler()
        pid = rt.spawn(fail)
        rt.monitor(watcher, pid)
        rt.send(pid, b"watched")
        eventually(lambda: rt.get_messages(watcher))
        rt.shutdown()
    assert not caplog.records


def test_the_others_go_on_when_one_fails(rt):
    inbox = Inbox()
    good = rt.spawn(inbox)
    watcher = rt.spawn_observed_handler()
    for number in range(100):
        bad = rt.spawn(fail)
        rt.monitor(watcher, bad)
        rt.send(bad, b"%d" % number)
        rt.send(good, b"%d" % number)
    eventually(lambda: len(inbox) == 100)


def test_a_link_carries_a_crash_and_a_trapping_observer_is_told(rt):
    """S32, S34."""
    partner, bystander, observer = rt.spawn(Inbox()), rt.spawn(Inbox()), rt.spawn_observed_handler()
    failing = rt.spawn(fail)
    rt.link(partner, failing)
    rt.link(partner, failing)
    rt.link(bystander, failing)
    rt.unlink(bystander, failing)
    rt.link(observer, failing)
    rt.send(failing, b"boom")
    eventually(lambda: not rt.is_alive(partner))
    assert rt.is_alive(bystander)
    (message,) = eventually(lambda: rt.get_messages(observer))
    assert (message.type_name, message.target_pid) == ("EXIT", failing)


def test_a_handler_hears_of_what_its_actor_monitors(rt):
    inbox = Inbox()
    watcher, target = rt.spawn(inbox), rt.spawn(Inbox())
    rt.monitor(watcher, target)
    rt.stop(target)
    (message,) = eventually(lambda: inbox)
    assert (message.type_name, message.target_pid, message.reason) == ("EXIT", target, "normal")


def test_a_monitor_of_the_dead_fires_at_once(rt):
    """S24."""
    observer, dead = rt.spawn_observed_handler(), rt.spawn(Inbox())
    rt.kill(dead)
    rt.join(dead)
    assert isinstance(rt.monitor(observer, dead), int)
    (message,) = eventually(lambda: rt.get_messages(observer))
    assert message.reason == "noproc"
