"""Testing programs of actors: probes that expect messages, and a check that a test leaves nothing behind.

Needs no test framework. For pytest, which finds it by itself, the fixture ``actor_runtime`` gives a
``Runtime`` that is checked as by ``checked`` and shut down after the test.
"""

import logging
import queue
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

from myrmidon import _core
from myrmidon._core import PySystemMessage
from myrmidon.runtime import Runtime

__all__ = ["LeakedActors", "Probe", "Simulation", "UnhandledErrors", "checked", "eventually"]

_Message: TypeAlias = bytes | PySystemMessage

# How long actors that are about to end may take before they count as left behind.
_SETTLE = 1.0
# The longest wait in which a Ctrl-C may be overlooked.
_SLICE = 0.05


class LeakedActors(AssertionError):
    """A test ended and actors that it had started lived on."""


class UnhandledErrors(AssertionError):
    """Actors ended by exceptions during a test, and nobody was told."""


class Probe:
    """An actor that keeps what it receives, for a test to expect.

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
    and other nodes are not simulated. While a simulation is open, use no ``Runtime`` of another kind on its thread.
    """

    def __init__(self, seed: int = 0) -> None:
        self._core = _core.Simulation(seed)
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
        """Ends the actors that are left."""
        self._core.close()

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Simulation seed={self.seed} elapsed={self.elapsed}>"


@contextmanager
def checked(rt: Runtime, *, leaks: bool = True, errors: bool = True) -> Generator[None, None, None]:
    """Fails at the end of the block if it leaves something behind.

    With ``leaks``, actors that were started in the block and still live raise ``LeakedActors``; probes
    count, so ``stop`` them. With ``errors``, actors that ended by an exception of which nobody was told raise
    ``UnhandledErrors`` with their tracebacks. Told is who supervised, linked or monitored the actor, and who
    asked it and got the exception in place of an answer. An exception of the block itself goes first.
    """
    before = set(rt.actors())
    with _recorded_errors(rt) as records:
        yield
        leaked = _settled(rt, before)
        rt._settle(_SETTLE)
    if errors and records:
        raise UnhandledErrors("\n".join(records))
    if leaks and leaked:
        infos = [repr(rt.info(pid)) for pid in sorted(leaked)]
        raise LeakedActors(f"{len(leaked)} actors live on: {', '.join(infos[:10])}")


def eventually(condition: Callable[[], object], *, timeout: float = 5.0) -> None:
    """Waits until ``condition()`` is true, or raises ``AssertionError`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout} s: {condition}")
        time.sleep(0.002)


def _settled(rt: Runtime, before: set[int]) -> set[int]:
    """The actors that are left once those that are ending have ended."""
    deadline = time.monotonic() + _SETTLE
    while (left := set(rt.actors()) - before) and time.monotonic() < deadline:
        time.sleep(0.002)
    return left


class _Recorder(logging.Handler):
    def __init__(self, rt: Runtime, records: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.number = rt._number
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        told = getattr(record, "myrmidon_asker_told", False)
        if not told and getattr(record, "myrmidon_runtime", None) == self.number:
            self.records.append(record.getMessage())


@contextmanager
def _recorded_errors(rt: Runtime) -> Generator[list[str], None, None]:
    """What is logged about actors of ``rt`` that failed, unless who asked was told."""
    records: list[str] = []
    logger, handler = logging.getLogger("myrmidon.actor"), _Recorder(rt, records)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)
