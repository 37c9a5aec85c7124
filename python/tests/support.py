"""Helpers: waiting for a condition, handlers that remember, programs in processes of their own."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable


def eventually(condition: Callable[[], object], deadline: float = 10.0) -> object:
    """Waits until ``condition()`` is true and returns its value."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"not so within {deadline} s: {condition}"
        time.sleep(0.002)
    return value


def threads() -> int:
    """How many threads the process has; without a /proc, those that Python knows."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


async def turns_during(work: Awaitable[object]) -> int:
    """Awaits ``work``, and says how many turns another task of the loop had meanwhile."""
    turns, done = 0, False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await work
    done = True
    await task
    return turns


def in_time(call: Callable[[], object], deadline: float = 20.0) -> object:
    """What ``call`` returns, or the exception that it raises, on a thread that a failing test leaves behind."""
    made: list[object] = []

    def run() -> None:
        try:
            made.append(call())
        except Exception as error:
            made.append(error)

    threading.Thread(target=run, daemon=True).start()
    eventually(lambda: made, deadline)
    return made[0]


class Inbox(list[object]):
    """A handler that keeps what it gets."""

    def __call__(self, message: object) -> None:
        self.append(message)


# A process that was started in the background ignores Ctrl-C, and so do its children until told otherwise.
CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def program(text: str) -> list[str]:
    """The command that runs ``text`` as a Python program of its own."""
    return [sys.executable, "-X", "faulthandler", "-c", CTRL_C + textwrap.dedent(text)]


def run_program(text: str, deadline: float = 30.0) -> "subprocess.CompletedProcess[str]":
    """Runs ``text`` to its end; fails if it does not end by itself."""
    environment = {**os.environ, "PYTHONDEVMODE": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.run(
        program(text), capture_output=True, text=True, timeout=deadline, env=environment, check=False
    )
