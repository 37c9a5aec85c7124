"""The kit for users' tests: what it accepts, and that it fails where it should."""

import asyncio
import logging
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import myrmidon
from myrmidon import Actor, PySystemMessage, Runtime
from myrmidon.errors import ActorEnded, AskTimeout, RemoteActorError
from myrmidon.testing import LeakedActors, Probe, UnhandledErrors, checked, eventually


def broken(message: bytes) -> None:
    raise ValueError("what is this?")


def test_a_probe_expects_messages_in_their_order(rt: Runtime) -> None:
    probe = Probe(rt, name="probe")
    assert rt.whereis("probe") == probe.pid
    for message in (b"one", b"two", b"three"):
        rt.send(probe.pid, message)
    assert probe.expect(b"one") == b"one"
    probe.expect(lambda message: isinstance(message, bytes) and message.startswith(b"t"))
    with pytest.raises(AssertionError, match="expected b'four', and b'three' came"):
        probe.expect(b"four")
    with pytest.raises(AssertionError, match="no message came"):
        probe.next(timeout=0.01)
    with pytest.raises(AssertionError, match="b'five' has not come"):
        probe.expect(b"five", timeout=0.01)
    probe.expect_nothing(within=0.01)
    rt.send(probe.pid, b"something")
    with pytest.raises(AssertionError, match="something"):
        probe.expect_nothing(within=5)
    probe.stop()
    assert not rt.is_alive(probe.pid)


def test_a_probe_expects_the_end_of_others(rt: Runtime) -> None:
    probe = Probe(rt)
    for end, reason in ((rt.stop, "normal"), (rt.kill, "killed")):
        pid = rt.spawn(print)
        probe.watch(pid)
        end(pid)
        assert isinstance(probe.expect_exit(pid, reason), PySystemMessage)
    other = rt.spawn(print)
    probe.watch(other)
    rt.kill(other)
    with pytest.raises(AssertionError, match="for normal"):
        probe.expect_exit(other, "normal")
    rt.send(probe.pid, b"alive")
    with pytest.raises(AssertionError, match="alive"):
        probe.expect_exit(other)


def test_a_block_that_ends_its_actors_passes(rt: Runtime) -> None:
    kept = rt.spawn(print)
    with checked(rt):
        pid = rt.spawn(print)
        rt.stop(pid)
    assert rt.is_alive(kept)


def test_actors_left_behind_are_found(rt: Runtime) -> None:
    with pytest.raises(LeakedActors, match="1 actors live on: <ActorInfo"), checked(rt):
        pid = rt.spawn(print, name="left")
    with checked(rt, leaks=False):
        rt.spawn(print)
    rt.stop(pid)


def test_errors_of_which_nobody_is_told_are_found(rt: Runtime) -> None:
    with pytest.raises(UnhandledErrors, match=r"(?s)ValueError.*in broken"), checked(rt):
        rt.send(rt.spawn(broken), b"x")
    with checked(rt):
        probe, pid = Probe(rt), rt.spawn(broken)
        probe.watch(pid)
        rt.send(pid, b"x")
        probe.expect_exit(pid, "exception")
        probe.stop()


def test_an_exception_of_the_block_goes_first(rt: Runtime) -> None:
    with pytest.raises(KeyError), checked(rt):
        rt.spawn(print)
        raise KeyError("first")


def test_the_fixture(actor_runtime: Runtime) -> None:
    class Echo(Actor):
        def echo(self, text: str) -> str:
            return text

    echo = actor_runtime.start(Echo)
    assert echo.call_sync(Echo.echo, "hello") == "hello"
    echo.stop()


def test_the_fixture_fails_tests_that_leave_something_behind(tmp_path: Path) -> None:
    (tmp_path / "test_leaks.py").write_text(
        textwrap.dedent(
            """
            import pytest

            def test_leaks(actor_runtime):
                actor_runtime.spawn(print)

            def test_crashes(actor_runtime):
                pid = actor_runtime.spawn(lambda message: 1 / 0)
                actor_runtime.send(pid, b"x")
                actor_runtime.join(pid)

            @pytest.mark.actors(leaks=False)
            def test_may_leak(actor_runtime):
                actor_runtime.spawn(print)

            def test_passes(actor_runtime):
                actor_runtime.stop(actor_runtime.spawn(print))

            def test_shuts_down(actor_runtime):
                actor_runtime.shutdown()

            @pytest.mark.actors(False)
            def test_says_nothing_of_what(actor_runtime):
                pass
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"5 passed, 3 errors", done.stdout), done.stdout
    assert "ERROR test_leaks.py::test_leaks - myrmidon.testing.LeakedActors" in done.stdout
    assert "UsageError: write @pytest.mark.actors(leaks=False)" in done.stdout
    assert "ERROR test_leaks.py::test_crashes - myrmidon.testing.UnhandledErrors" in done.stdout


def test_importing_the_package_does_not_import_pytest() -> None:
    program = "import sys, myrmidon, myrmidon.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
    assert myrmidon.testing.__name__ == "myrmidon.testing"


def test_errors_of_another_runtime_are_that_ones_own(rt: Runtime) -> None:
    with Runtime() as other, checked(rt):
        pid = other.spawn(broken)
        other.send(pid, b"x")
        other.join(pid)
        other._settle(1.0)
    with Runtime() as other, pytest.raises(UnhandledErrors), checked(other), checked(rt):
        pid = other.spawn(broken)
        other.send(pid, b"x")
        other.join(pid)


async def broken_async(message: bytes) -> bytes:
    await asyncio.sleep(0)
    raise ValueError("what is this?")


class Broken(Actor):
    def fail(self) -> None:
        raise ValueError("what is this?")


class BrokenAsync(Actor):
    async def fail(self) -> None:
        raise ValueError("what is this?")


@pytest.mark.parametrize("handler", [broken, broken_async])
def test_errors_of_which_who_asked_was_told_are_handled(rt: Runtime, handler: Callable[[bytes], object]) -> None:
    async def ask(pid: int) -> None:
        with pytest.raises(ValueError, match="what is this"):
            await rt.ask(pid, b"x")

    with checked(rt):
        with pytest.raises(ValueError, match="what is this"):
            rt.ask_sync(rt.spawn(handler), b"x")
        asyncio.run(ask(rt.spawn(handler)))
        for actor in (Broken, BrokenAsync):
            with pytest.raises(ValueError, match="what is this"):
                rt.start(actor).call_sync(actor.fail)
    with pytest.raises(UnhandledErrors), checked(rt):
        with pytest.raises(ValueError, match="what is this"):
            rt.ask_sync(rt.spawn(handler), b"x")
        rt.send(rt.spawn(handler), b"x")


def test_errors_that_came_when_who_asked_had_given_up_are_found(rt: Runtime) -> None:
    for asynchronous in (False, True):
        begun, may_fail = threading.Event(), threading.Event()

        def late(message: bytes) -> None:
            begun.set()
            assert may_fail.wait(10)
            raise ValueError("too late")

        async def late_async(message: bytes) -> None:
            begun.set()
            await asyncio.to_thread(may_fail.wait, 10)
            raise ValueError("too late")

        with pytest.raises(UnhandledErrors, match="too late"), checked(rt):
            pid = rt.spawn(late_async if asynchronous else late)
            with pytest.raises(AskTimeout):
                rt.ask_sync(pid, b"x", timeout=0.2)
            assert begun.wait(10)
            may_fail.set()


def test_errors_of_which_who_asked_from_another_node_was_told_are_handled() -> None:
    with Runtime() as here, Runtime() as there:
        addr = there.listen("127.0.0.1:0")
        with checked(there):
            there.register("broken", pid := there.spawn(broken))
            with pytest.raises(RemoteActorError, match="what is this"):
                here.ask_sync(here.remote(addr, "broken"), b"x")
            there.join(pid)


def test_an_error_does_not_count_as_told_by_a_question_that_waited_behind(rt: Runtime) -> None:
    async def main() -> None:
        may_fail = threading.Event()

        def slow(message: bytes) -> None:
            assert may_fail.wait(10)
            raise ValueError("first")

        pid = rt.spawn(slow, blocking=True)
        rt.send(pid, b"x")
        asking = asyncio.ensure_future(rt.ask(pid, b"y"))
        await asyncio.sleep(0)
        may_fail.set()
        with pytest.raises(ActorEnded):
            await asking

    with pytest.raises(UnhandledErrors, match="first"), checked(rt):
        asyncio.run(main())


def test_errors_are_found_though_the_program_logs_nothing(rt: Runtime) -> None:
    def fails() -> None:
        pid = rt.spawn(broken)
        rt.send(pid, b"x")
        rt.join(pid)

    logger = logging.getLogger("myrmidon")
    logging.disable(logging.CRITICAL)
    try:
        with pytest.raises(UnhandledErrors, match="what is this"), checked(rt):
            fails()
    finally:
        logging.disable(logging.NOTSET)
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with pytest.raises(UnhandledErrors, match="what is this"), checked(rt):
            fails()
    finally:
        logger.setLevel(logging.NOTSET)


def test_code_that_fails_and_ends_no_actor_is_found_too(rt: Runtime) -> None:
    class Careless(Actor):
        def upgrade(self, old: object, version: int) -> None:
            raise ValueError("cannot take over")

        def stopped(self, reason: object) -> None:
            raise ValueError("not cleaned up")

    with pytest.raises(UnhandledErrors, match=r"(?s)cannot take over.*not cleaned up"), checked(rt):
        careless = rt.start(Careless)
        careless.upgrade(Careless)
        careless.stop()


def test_many_errors_are_counted(rt: Runtime) -> None:
    with pytest.raises(UnhandledErrors, match="and 76 more"), checked(rt):
        for _ in range(1100):
            rt.send(rt.spawn(broken), b"x")


def test_a_coroutine_is_checked_by_async_with(rt: Runtime) -> None:
    async def handler(message: bytes) -> bytes:
        return message

    async def main() -> None:
        async with checked(rt):
            pid = rt.spawn(handler)
            assert await rt.ask(pid, b"x") == b"x"
            rt.stop(pid)  # It ends in this loop.
        with pytest.raises(LeakedActors, match="use async with"), checked(rt):
            left = rt.spawn(handler)
        with pytest.raises(UnhandledErrors, match="what is this"):
            async with checked(rt, leaks=False):
                rt.send(rt.spawn(broken_async), b"x")
        rt.kill(left)

    asyncio.run(main())


def test_a_runtime_that_was_shut_down_in_the_block_leaves_nothing() -> None:
    with Runtime() as rt, checked(rt):
        rt.spawn(print)
        rt.shutdown()
    with pytest.raises(UnhandledErrors), Runtime() as rt, checked(rt):
        pid = rt.spawn(broken)
        rt.send(pid, b"x")
        rt.join(pid)
        rt.shutdown()
