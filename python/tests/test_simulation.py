"""The simulated runtime: its order, its clock, its calls that wait."""

import asyncio
import gc
import random
import threading

import pytest
from support import Inbox

import myrmidon
from myrmidon import Actor, one_for_one, worker
from myrmidon.errors import ListenError, StepLimit, Timeout
from myrmidon.testing import LeakedActors, Probe, Simulation, UnhandledErrors, checked


class Counter(Actor):
    def __init__(self) -> None:
        self.total = 0

    def add(self, number: int) -> int:
        self.total += number
        return self.total


def race(seed: int) -> list[bytes]:
    """What arrives of ten actors that send to one."""
    with Simulation(seed) as sim:
        seen = Inbox()
        judge = sim.rt.spawn(seen)
        for number in range(10):
            runner = sim.rt.spawn(lambda message: sim.rt.send(judge, message))
            sim.rt.send(runner, b"%d" % number)
        sim.run()
        return [message for message in seen if isinstance(message, bytes)]


def test_the_seed_decides_the_order() -> None:
    runs = {seed: race(seed) for seed in range(5)}
    assert all(sorted(run) == [b"%d" % number for number in range(10)] for run in runs.values())
    assert runs == {seed: race(seed) for seed in range(5)}
    assert len({tuple(run) for run in runs.values()}) > 1


def test_nothing_happens_by_itself_and_the_clock_stands_still() -> None:
    with Simulation() as sim:
        seen = Inbox()
        pid = sim.rt.spawn(seen)
        sim.rt.send(pid, b"x")
        assert seen == [] and sim.elapsed == 0.0
        assert sim.step()
        assert seen == [b"x"]
        sim.rt.send_interval(pid, 3600.0, b"tick")
        sim.advance(24 * 3600.0)
        assert seen[1:] == [b"tick"] * 24
        assert sim.elapsed == pytest.approx(24 * 3600.0)
        assert "seed=0" in repr(sim) and sim.trace()


def test_calls_that_wait_run_the_others() -> None:
    with Simulation(3) as sim:
        counter = sim.rt.start(Counter)
        counter.cast(Counter.add, 1)
        assert counter.call_sync(Counter.add, 1) == 2

        def asks(message: bytes) -> None:
            counter.call_sync(Counter.add, 10)

        asker = sim.rt.spawn(asks)
        sim.rt.send(asker, b"go")
        sim.rt.stop(asker)
        assert sim.rt.join(asker).kind == "normal"
        assert counter.call_sync(Counter.add, 0) == 12
        with pytest.raises(Timeout):
            sim.rt.join(counter.pid, timeout=3600.0)
        assert sim.elapsed >= 3600.0


def test_supervisors_work() -> None:
    with Simulation(random.randrange(1000)) as sim:
        supervisor = sim.rt.supervise(one_for_one([worker(int, id="a"), worker(print, id="b")]))
        (before, other) = supervisor.children()
        assert before.pid is not None
        sim.rt.send(before.pid, b"no number")
        sim.run()
        now = supervisor.children()
        assert now[0].pid not in (None, before.pid) and now[1] == other, f"seed {sim.seed}"


def test_run_until_says_when_it_never_becomes_true() -> None:
    with Simulation() as sim:
        seen = Inbox()
        pid = sim.rt.spawn(seen)
        sim.rt.send_after(pid, 30.0, b"x")
        with pytest.raises(AssertionError, match="not so within 10"):
            sim.run_until(lambda: seen, within=10.0)
        sim.run_until(lambda: seen)
        assert sim.elapsed == pytest.approx(30.0)
        with pytest.raises(ZeroDivisionError):
            sim.run_until(lambda: 1 / 0)


def test_an_actor_cannot_run_its_simulation() -> None:
    with Simulation() as sim:
        errors = Inbox()

        def handler(message: bytes) -> None:
            try:
                sim.run()
            except RuntimeError as error:
                errors(error)

        sim.rt.send(sim.rt.spawn(handler), b"x")
        sim.run()
        assert len(errors) == 1


def test_the_end_ends_the_actors() -> None:
    ends = Inbox()

    class Witness(Actor):
        def stopped(self, reason: myrmidon.ExitReason) -> None:
            ends(reason.kind)

    with Simulation() as sim:
        witness = sim.rt.start(Witness)
        sim.run()
        witness.stop()
        sim.run()
        sim.rt.spawn(print)
    assert ends == ["normal"]
    assert sim.rt.closed
    with pytest.raises(myrmidon.errors.RuntimeClosed):
        sim.rt.spawn(print)


def test_a_simulation_belongs_to_the_thread_that_made_it() -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            sim.run()
        except RuntimeError as error:
            errors.append(error)

    with Simulation() as sim:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "thread that made it" in str(errors)
        assert sim.rt.ask_sync(sim.rt.spawn(lambda message: message), b"x") == b"x"


def test_a_simulation_may_be_garbage_on_another_thread() -> None:
    made = [Simulation()]
    made[0].close()
    thread = threading.Thread(target=made.clear)
    thread.start()
    thread.join()
    with Simulation() as another:
        another.run()


def test_code_that_no_seed_can_order_is_refused() -> None:
    async def handler(message: bytes) -> None:
        pass

    class Asynchronous(Actor):
        async def work(self) -> None:
            pass

    with Simulation() as sim:
        pid = sim.rt.spawn(print)
        for refused in (
            lambda: sim.rt.spawn(handler),
            lambda: sim.rt.hot_swap(pid, handler),
            lambda: sim.rt.spawn_with_mailbox(print),
            lambda: sim.rt.start(Asynchronous),
        ):
            with pytest.raises(TypeError, match="test it with a Runtime"):
                refused()
        with pytest.raises(ListenError, match="with a Runtime"):
            sim.rt.listen("127.0.0.1:0")
        with pytest.raises(TypeError, match="use ask_sync"):
            asyncio.run(sim.rt.ask(pid, b"x"))


def test_the_busiest_actors_can_be_asked_for() -> None:
    with Simulation(seed=3) as sim:
        quiet, busy = sim.rt.spawn(print), sim.rt.spawn(lambda message: None)
        sim.rt.send_interval(busy, 0.1, b"x")
        first, second = sim.rt.top(by="reductions", within=1.05)
        assert [(first.pid, first.reductions), (second.pid, second.reductions)] == [(busy, 10), (quiet, 0)]
        assert 1.0 < sim.elapsed < 1.2


def test_a_simulation_that_never_rests_ends_with_an_error_and_can_be_closed() -> None:
    with Simulation(step_limit=100) as sim:
        spinning = sim.rt.spawn(lambda message: sim.rt.send(spinning, message))
        sim.rt.send(spinning, b"again")
        other = sim.rt.spawn(lambda message: message)
        for runs in (
            sim.step,
            sim.run,
            lambda: sim.advance(1.0),
            lambda: sim.run_until(lambda: False),
            lambda: sim.rt.ask_sync(other, b"x"),
            lambda: sim.rt.join(other, timeout=1.0),
            lambda: sim.rt.supervise(one_for_one([worker(print)])),
        ):
            with pytest.raises(StepLimit, match="taken its 100 steps"):
                while runs() is not False:
                    pass
        sim.close()
        assert sim.rt.closed
    with pytest.raises(KeyError), Simulation(step_limit=10) as sim:
        pid = sim.rt.spawn(print)
        sim.rt.send_interval(pid, 0.001, b"tick")
        with pytest.raises(StepLimit):
            sim.advance(3600.0)
        raise KeyError("the error of the test itself")
    with pytest.raises(ValueError, match="step_limit=-1"):
        Simulation(step_limit=-1)


def test_the_limit_of_steps_can_be_raised() -> None:
    with Simulation(step_limit=3_000_000) as sim:
        ticks = Inbox()
        sim.rt.send_interval(sim.rt.spawn(ticks), 0.001, b"tick")
        sim.advance(600.0)
        assert len(ticks) == 600_000


def test_a_simulation_that_was_dropped_and_not_closed_leaves_nothing_behind() -> None:
    simulation = Simulation()
    left = simulation.rt
    left.send_interval(left.spawn(print), 1.0, b"tick")
    del simulation
    gc.collect()
    assert left.closed
    with pytest.raises(myrmidon.errors.RuntimeClosed):
        left.spawn(print)


def test_calls_that_wait_run_their_own_simulation_alone() -> None:
    """Also where others are open on the thread."""
    with Simulation(1) as outer, Simulation(2) as inner, myrmidon.Runtime() as real:
        inner.rt.send_interval(inner.rt.spawn(print), 1.0, b"tick")
        for sim in (outer, inner):
            assert sim.rt.ask_sync(sim.rt.spawn(lambda message: message), b"x", timeout=60.0) == b"x"
            with pytest.raises(Timeout):
                sim.rt.join(sim.rt.spawn(print), timeout=60.0)
            assert sim.elapsed == pytest.approx(60.0)
        release = threading.Event()
        pid = real.spawn(lambda message: b"%d" % release.wait(30))
        threading.Timer(0.1, release.set).start()
        assert real.ask_sync(pid, b"x", timeout=30.0) == b"1"
        assert inner.elapsed == pytest.approx(60.0)


def test_the_kit_for_tests_runs_a_simulation_in_its_own_time() -> None:
    with Simulation() as sim, checked(sim.rt):
        probe, clock = Probe(sim.rt), sim.rt.spawn(print)
        probe.watch(clock)
        sim.rt.send_after(probe.pid, 3600.0, b"an hour later")
        probe.expect_nothing(within=3599.0)
        probe.expect(b"an hour later")
        sim.rt.stop(clock)
        probe.expect_exit(clock, "normal")
        sim.rt.stop(probe.pid)
    with pytest.raises(LeakedActors, match="1 actors live on: <ActorInfo"), Simulation() as sim, checked(sim.rt):
        sim.rt.spawn(print)
    with pytest.raises(UnhandledErrors, match="ZeroDivisionError"), Simulation() as sim, checked(sim.rt):
        sim.rt.send(sim.rt.spawn(lambda message: 1 / 0), b"x")
