"""supervise_with_factory and watch, as documented."""

import logging

import pytest
from support import Inbox, eventually

from myrmidon import errors


def crash(message):
    raise RuntimeError("down")


def test_a_crashed_child_is_made_again_by_its_factory(rt):
    made = []

    def factory():
        made.append(rt.spawn(crash, name="worker"))
        return made[-1]

    first = rt.spawn(crash)
    rt.supervise_with_factory(first, factory, "RestartOne")
    eventually(lambda: rt.child_pids() and rt.child_pids() == made)
    assert rt.children_count() == 1
    rt.send_named("worker", b"x")
    eventually(lambda: len(made) == 2 and rt.child_pids() == made[1:])
    assert rt.whereis("worker") == made[1]


@pytest.mark.parametrize("strategy", ["RestartOne", "restartone", "RESTARTALL", "RestartAll"])
def test_strategies_are_named_in_any_case(rt, strategy):
    rt._inner.supervise_with_factory(rt.spawn(Inbox()), lambda: rt.spawn(Inbox()), strategy)
    rt._inner.watch(rt.spawn(Inbox()), strategy)
    eventually(lambda: rt._inner.children_count() == 2)


def test_what_makes_no_sense_is_refused(rt):
    pid = rt.spawn(Inbox())
    with pytest.raises(ValueError, match="RestartOne"):
        rt.supervise_with_factory(pid, Inbox, "RestartNever")
    with pytest.raises(TypeError, match="factory"):
        rt.supervise_with_factory(pid, None, "RestartOne")
    with pytest.raises(errors.NoProcess):
        rt.watch(0, "RestartOne")
    assert rt.children_count() == 0


def test_restart_all_restarts_all_of_its_kind_and_no_other(rt):
    made = {"a": [], "b": [], "c": []}

    def make_factory(key, strategy):
        def factory():
            made[key].append(rt.spawn(crash))
            return made[key][-1]

        rt.supervise_with_factory(rt.spawn(Inbox()), factory, strategy)

    for key, strategy in (("a", "RestartAll"), ("b", "RestartAll"), ("c", "RestartOne")):
        make_factory(key, strategy)
    eventually(lambda: all(pids and rt.is_alive(pids[-1]) for pids in made.values()))
    eventually(lambda: set(rt.child_pids()) == {pids[-1] for pids in made.values()})
    rt.send(made["a"][-1], b"x")
    eventually(lambda: len(made["a"]) == 2 and len(made["b"]) == 2)
    assert len(made["c"]) == 1


def test_stop_ends_the_supervision(rt):
    made = []

    def factory():
        made.append(rt.spawn(Inbox()))
        return made[-1]

    rt.supervise_with_factory(rt.spawn(Inbox()), factory)
    eventually(lambda: rt.child_pids() == made)
    rt.stop(made[-1])
    eventually(lambda: rt.children_count() == 0)
    rt.join(made[-1], timeout=10)
    assert len(made) == 1


def test_a_factory_that_raises_is_tried_again_and_reported(rt, caplog):
    tries = []

    def factory():
        tries.append(None)
        if len(tries) < 3:
            raise ConnectionError("not yet")
        return rt.spawn(Inbox())

    with caplog.at_level(logging.ERROR, logger="myrmidon.supervisor"):
        rt.supervise_with_factory(rt.spawn(Inbox()), factory)
        eventually(lambda: len(tries) == 3)
        eventually(lambda: len(caplog.records) == 2)
    assert "ConnectionError: not yet" in caplog.text
    assert "in factory" in caplog.text  # The traceback.


@pytest.mark.parametrize("made", ["a name", -1, 1.5])
def test_a_factory_that_returns_no_pid_is_told_what_to_return(rt, caplog, made):
    with caplog.at_level(logging.ERROR, logger="myrmidon.supervisor"):
        rt.supervise_with_factory(rt.spawn(Inbox()), lambda: made)
        eventually(lambda: f"the PID of a living actor, or None, not {made!r}" in caplog.text)


def test_a_factory_may_block_without_holding_up_actors(rt):
    import threading

    gate = threading.Event()

    def factory():
        gate.wait(10)
        return rt.spawn(Inbox())

    rt.supervise_with_factory(rt.spawn(Inbox()), factory)
    inbox = Inbox()
    rt.send(rt.spawn(inbox), b"x")
    eventually(lambda: inbox)
    gate.set()


def test_a_watched_actor_is_a_child_until_it_ends(rt):
    pid = rt.spawn(crash)
    rt.watch(pid, "RestartOne")
    assert rt.child_pids() == [pid]
    rt.send(pid, b"x")
    eventually(lambda: rt.children_count() == 0)


def test_a_child_that_has_never_run_is_not_counted_and_can_be_stopped(rt):
    tries, works = [], []

    def factory():
        tries.append(None)
        if not works:
            raise ConnectionError("not yet")
        works.append(rt.spawn(Inbox()))
        return works[-1]

    ended = rt.spawn(Inbox())
    rt.kill(ended)
    rt.join(ended)
    rt.supervise_with_factory(ended, factory)
    eventually(lambda: len(tries) >= 2)
    assert (rt.child_pids(), rt.children_count()) == ([], 0)
    works.append(None)
    eventually(lambda: rt.child_pids() == works[1:] != [])
    rt.stop(ended)
    eventually(lambda: rt.children_count() == 0)
