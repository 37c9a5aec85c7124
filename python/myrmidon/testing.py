"""Testing programs of actors: probes that expect messages, and a check that a test leaves nothing behind.

Needs no test framework. For pytest, which finds it by itself, the fixture ``actor_runtime`` gives a
``Runtime`` that is checked as by ``checked`` and shut down after the test.
"""

import asyncio
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from myrmidon import _core
from myrmidon._core import PySystemMessage
from myrmidon.errors import RuntimeClosed
from myrmidon.runtime import Runtime

__all__ = ["LeakedActors", "Probe", "Simulation", "UnhandledErrors", "checked", "eventually"]

_Message: TypeAlias = bytes | PySystemMessage

# How long actors that are about to end may take before they count as left behind.
_SETTLE = 1.0
# How long a wait that looks again and again pauses.
_PAUSE = 0.002
# The longest wait in which a Ctrl-C may be overlooked.
_SLICE = 0.05


class LeakedActors(AssertionError):
    """A test ended and actors that it had started lived on."""


class UnhandledErrors(AssertionError):
    """Actors ended by exceptions during a test, and nobody was told."""


class Probe:
    """An actor that keeps what it receives, for a test to expect. Of a ``Simulation`` it runs the actors meanwhile, and
    the seconds that it waits are those of the simulation.

    >>> from myrmidon import Runtime
    >>> from myrmidon.testing import Probe
    >>> with Runtime() as rt:
    ...     probe = Probe(rt)
    ...     _ = rt.send(probe.pid, b"hello")
    ...     print(probe.expect(b"hello"))
    ...     probe.expect_nothing(within=0.01)
    b'hello'
    """

    def __init__(self, rt: Runtime, *, name: str | None = None) -> None:
        self._rt = rt
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self.pid = rt.spawn(self._inbox.put, name=name, trap_exit=True)

    def next(self, *, timeout: float = 5.0) -> _Message:
        """The next message, or an ``AssertionError`` if none has come within ``timeout`` seconds."""
        try:
            return self._take(timeout)
        except queue.Empty:
            raise AssertionError(f"no message came within {timeout} s") from None

    def expect(
        self, expected: "bytes | Callable[[_Message], object]", *, timeout: float = 5.0
    ) -> _Message:
        """Takes the next message, which must be these bytes, or one for which the function is true.

        Returns it. Raises ``AssertionError`` if another comes, or none within ``timeout`` seconds.
        """
        try:
            message = self._take(timeout)
        except queue.Empty:
            raise AssertionError(f"{expected!r} has not come within {timeout} s, nor anything else") from None
        fits = expected(message) if callable(expected) else message == expected
        if not fits:
            raise AssertionError(f"expected {expected!r}, and {message!r} came")
        return message

    def expect_exit(self, pid: int, reason: str | None = None, *, timeout: float = 5.0) -> PySystemMessage:
        """Takes the next message, which must be the EXIT of ``pid``, for ``reason`` if one is given.

        ``watch`` the actor before.
        """
        message = self.next(timeout=timeout)
        if not isinstance(message, PySystemMessage) or message.type_name != "EXIT":
            raise AssertionError(f"expected the end of actor {pid}, and {message!r} came")
        if message.target_pid != pid or reason not in (None, message.reason):
            raise AssertionError(f"expected the end of actor {pid} for {reason or 'any reason'}, and {message!r} came")
        return message

    def expect_nothing(self, *, within: float = 0.05) -> None:
        """Raises ``AssertionError`` if a message comes within so many seconds."""
        try:
            message = self._take(within)
        except queue.Empty:
            return
        raise AssertionError(f"expected nothing, and {message!r} came")

    def _take(self, timeout: float) -> _Message:
        """The next message. In slices, as a Ctrl-C that comes just before a wait of Python does not end it."""
        if self._rt._drive_until(lambda: not self._inbox.empty(), timeout) is not None:
            return self._inbox.get_nowait()
        end = time.monotonic() + timeout
        while True:
            left = max(end - time.monotonic(), 0.0)
            try:
                return self._inbox.get(timeout=min(left, _SLICE))
            except queue.Empty:
                if left <= _SLICE:
                    raise

    def watch(self, pid: int) -> None:
        """Has the end of ``pid`` come as an EXIT message."""
        self._rt.monitor(self.pid, pid)

    def stop(self) -> None:
        """Ends the probe."""
        self._rt.stop(self.pid)
        self._rt.join(self.pid)

    def __repr__(self) -> str:
        return f"<Probe {self.pid}>"


class Simulation:
    """A runtime for tests, in which nothing happens by itself and no time is lost waiting.

    Its actors run on the thread of the test, one turn at a time, in an order that the seed decides; the same
    seed gives the same run. Its clock moves only in ``advance``: a timer of a day goes off at once.

    >>> from myrmidon.testing import Simulation
    >>> with Simulation(seed=7) as sim:
    ...     pid = sim.rt.spawn(print)
    ...     _ = sim.rt.send_after(pid, 24 * 3600.0, b"good morning")
    ...     sim.advance(24 * 3600.0)
    b'good morning'

    Calls of ``sim.rt`` that wait (``join``, ``ask_sync``, ``call_sync``) run the actors meanwhile. ``async def`` handlers,
    pull actors and ``rt.ask`` are refused with ``TypeError``, as they would run in a time and an order of their own; threads of the test's own
    and other nodes are not simulated.

    After ``step_limit`` steps, which are turns, jobs and moves of the clock, whatever would take one more raises
    ``StepLimit``, and only ``close`` works. It bounds programs that never rest, and the memory of ``trace``.
    """

    def __init__(self, seed: int = 0, *, step_limit: int = 1_000_000) -> None:
        self._core = _core.Simulation(seed, step_limit)
        self.rt = Runtime(_simulation=self._core)

    @property
    def seed(self) -> int:
        """The seed it was made with."""
        return self._core.seed

    @property
    def elapsed(self) -> float:
        """The seconds that have passed by the clock of the simulation."""
        return self._core.elapsed

    def step(self) -> bool:
        """One turn of one actor; ``False`` if nobody has anything to do now."""
        return self._core.step()

    def run(self) -> None:
        """Runs until nobody has anything to do. The time stands still."""
        self._core.run()

    def advance(self, time: float) -> None:
        """Runs until ``time`` seconds have passed by the clock of the simulation."""
        self._core.advance(time)

    def run_until(self, condition: Callable[[], object], *, within: float = 60.0) -> None:
        """Runs until ``condition()`` is true, or raises ``AssertionError`` once ``within`` seconds have passed by
        the clock of the simulation, or nothing can happen any more.
        """
        if not self._core.run_until(condition, within):
            raise AssertionError(f"not so within {within} simulated seconds: {condition}")

    def trace(self) -> str:
        """What was done so far, a line for each step."""
        return self._core.trace()

    def close(self) -> None:
        """Ends the actors that are left. A simulation that nothing refers to any more is closed too."""
        self._core.close()

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Simulation seed={self.seed} elapsed={self.elapsed}>"


def checked(rt: Runtime, *, leaks: bool = True, errors: bool = True) -> "Checked":
    """Fails at the end of the block if it leaves something behind.

    With ``leaks``, actors that were started in the block and still live raise ``LeakedActors``; probes
    count, so ``stop`` them. With ``errors``, actors that ended by an exception of which nobody was told raise
    ``UnhandledErrors`` with their tracebacks. Told is who supervised, linked or monitored the actor, and who
    asked it and got the exception in place of an answer. So do swaps that failed, and what ``stopped`` of a class actor
    raises. An exception of the block itself goes first.

    In a coroutine say ``async with``: actors of its loop, which are about to end, need the loop for it.
    """
    return Checked(rt, leaks, errors)


class Checked:
    """What ``checked`` gives."""

    def __init__(self, rt: Runtime, leaks: bool, errors: bool) -> None:
        self._rt, self._leaks, self._errors = rt, leaks, errors

    def __enter__(self) -> None:
        self._before = set(self._rt.actors())
        self._failures = self._rt._watch_failures()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            deadline = time.monotonic() + _SETTLE
            if self._rt.closed or self._rt._drive_until(lambda: not self._left(), _SETTLE) is None:
                while self._left() and time.monotonic() < deadline:
                    time.sleep(_PAUSE)
            self._judge()

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            deadline = time.monotonic() + _SETTLE
            while self._left() and time.monotonic() < deadline:
                await asyncio.sleep(_PAUSE)
            self._judge()

    def _left(self) -> set[int]:
        """The actors that the block has left."""
        try:
            return set(self._rt.actors()) - self._before
        except RuntimeClosed:
            return set()

    def _judge(self) -> None:
        leaked = self._left()
        with suppress(RuntimeClosed):
            self._rt._settle(_SETTLE)
        failures = self._failures.texts()
        if self._errors and failures:
            raise UnhandledErrors("\n".join(failures))
        if self._leaks and leaked:
            infos = [repr(self._rt.info(pid)) for pid in sorted(leaked)]
            hint = "; in a coroutine use async with" if asyncio._get_running_loop() else ""
            raise LeakedActors(f"{len(leaked)} actors live on: {', '.join(infos[:10])}{hint}")


def eventually(condition: Callable[[], object], *, timeout: float = 5.0) -> None:
    """Waits until ``condition()`` is true, or raises ``AssertionError`` after ``timeout`` seconds.

    A ``Simulation``, in which nothing happens by itself, has ``run_until`` instead.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout} s: {condition}")
        time.sleep(_PAUSE)
