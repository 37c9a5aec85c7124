"""What the Python sides of the net workloads share: messages, their account, and figures."""

import time

SMALL = 64
WARM_UP = 200
_TAIL = SMALL - 8


def message(number: int) -> bytes:
    """A message that carries its number at both ends."""
    word = number.to_bytes(8, "big")
    return word + bytes(SMALL - 16) + word


def tally(received: list[bytes]) -> bytes:
    """How many came, and the sum of the numbers that they carry."""
    number = int.from_bytes
    total = sum(number(each[:8], "big") + number(each[_TAIL:], "big") for each in received)
    return b"%d %d" % (len(received), total)


def check(sent: list[bytes], answer: bytes) -> None:
    """Ends the process if the other side has counted something else."""
    if answer != tally(sent):
        raise SystemExit(f"sent {tally(sent)!r}, and the other side has counted {answer!r}")


def say_rate(amount: int, begun: int) -> None:
    print(amount * 1000 / (time.perf_counter_ns() - begun))


def say_waits(waits: list[int]) -> None:
    """The median and the 99th percentile, in microseconds."""
    waits.sort()
    for percent in 50, 99:
        print(waits[min(len(waits) * percent // 100, len(waits) - 1)] / 1000)
