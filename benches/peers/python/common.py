"""What the workloads of all peers share: checks, clocks and percentiles."""

import gc
import os
from collections.abc import Callable
from time import perf_counter, perf_counter_ns

LIMIT = 120.0
# Sends of one burst where only the calls count: memory that is touched for the first time would decide otherwise.
BURST = 10_000
MESSAGE = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

Figures = list[float]


class WrongCount(Exception):
    """Not every message was handled."""


def expect(handled: int, sent: int) -> None:
    if handled != sent:
        raise WrongCount(f"{handled} handled of {sent}")


def until(condition: Callable[[], bool], pause: Callable[[], object]) -> None:
    """Pauses until the condition holds."""
    deadline = perf_counter() + LIMIT
    while not condition():
        if perf_counter() > deadline:
            raise WrongCount(f"not done within {LIMIT:.0f} s")
        pause()


def rate(work: int, since: float) -> Figures:
    """Millions a second."""
    return [work / (perf_counter() - since) / 1e6]


def rate_of(work: int, nanoseconds: int) -> Figures:
    """Millions a second."""
    return [work * 1e3 / nanoseconds]


def bursts(messages: int) -> list[int]:
    """The sizes of the bursts."""
    return [min(BURST, messages - sent) for sent in range(0, messages, BURST)]


def thousands(work: int, since: float) -> Figures:
    """Thousands a second."""
    return [work / (perf_counter() - since) / 1e3]


def each(work: int, since: float) -> Figures:
    """Microseconds for one."""
    return [(perf_counter() - since) * 1e6 / work]


def percentiles(waits: list[int]) -> Figures:
    """Half of the waits, given in nanoseconds, and 99 of 100 are at most so many microseconds."""
    waits = sorted(waits)
    return [waits[min(len(waits) * percent // 100, len(waits) - 1)] / 1e3 for percent in (50, 99)]


def resident() -> int:
    """Resident bytes of this process."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


__all__ = [
    "BURST",
    "LIMIT",
    "MESSAGE",
    "Figures",
    "WrongCount",
    "bursts",
    "each",
    "expect",
    "percentiles",
    "perf_counter",
    "perf_counter_ns",
    "rate",
    "rate_of",
    "resident",
    "thousands",
    "until",
]
