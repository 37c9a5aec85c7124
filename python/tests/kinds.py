"""Programs of their own that have actors of every kind in them, and what becomes of such a process."""

import signal
import subprocess
import textwrap
from pathlib import Path

from support import eventually, program, run_program

# Actors of every kind, each of which does what `act` says when it is sent or asked something.
KINDS = textwrap.dedent("""
    import asyncio, contextlib, gc, logging, os, sys, threading, time, weakref
    import myrmidon
    from myrmidon import errors

    def plain(rt, act):
        return rt.spawn(lambda message: act())

    def blocking(rt, act):
        return rt.spawn(lambda message: act(), blocking=True)

    def asynchronous(rt, act):
        async def handler(message):
            await asyncio.sleep(0)
            act()
        return rt.spawn(handler)

    def swapped(rt, act):
        pid = rt.spawn(print)
        rt.hot_swap(pid, lambda message: act())
        return pid

    def swapped_async(rt, act):
        async def handler(message):
            act()
        pid = rt.spawn(print)
        rt.hot_swap(pid, handler)
        return pid

    def thread(rt, act):
        def function(mailbox):
            for message in mailbox:
                act()
        return rt.spawn_with_mailbox(function)

    def task(rt, act):
        async def function(mailbox):
            async for message in mailbox:
                act()
        return rt.spawn_with_mailbox(function)

    def supervised(rt, act):
        made = []
        def factory():
            made.append(rt.spawn(lambda message: act()))
            return made[-1]
        rt.supervise_with_factory(factory(), factory, "RestartOne")
        return made[-1]

    kinds = [plain, blocking, asynchronous, swapped, swapped_async, thread, task, supervised]

    def eventually(condition, deadline=20):
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, "not in time"
            time.sleep(0.002)
        return value
""")


def run(text: str, deadline: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """Runs a program with actors of every kind; it must end by itself and in good order."""
    done = run_program(KINDS + textwrap.dedent(text), deadline)
    assert done.returncode == 0, done.stderr
    for word in ("Fatal", "panicked", "never awaited", "Task was destroyed"):
        assert word not in done.stderr, done.stderr
    return done


def interrupted(text: str) -> list[str]:
    """What a program prints that gets Ctrl-C while it waits in the call behind its line "ready"."""
    process = subprocess.Popen(
        program(KINDS + textwrap.dedent(text)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "ready\n", (line, process.stderr and process.stderr.read())
        eventually(lambda: _sleeps(process.pid))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert "Fatal" not in err and "panicked" not in err, err
    return out.split()


def _sleeps(pid: int) -> bool:
    """Whether the main thread of a process waits; unknown, and said to be so, where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "S"
