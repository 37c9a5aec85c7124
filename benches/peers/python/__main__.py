"""Runs workloads: ``python benches/peers/python PEER WORK AMOUNT [WORK AMOUNT ...]``.

Prints a line of figures for each, or, without workloads, the version of the peer and what it knows. A count that is
wrong, or a run that does not end, ends the program with an error.
"""

import importlib
import signal
import sys

from common import LIMIT, WrongCount


def main() -> None:
    peer, *work = sys.argv[1:]
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(round(LIMIT * 1.5))
    module = importlib.import_module(f"peer_{peer}")
    if not work:
        print(module.version(), *module.WORKLOADS, sep="\n")
    for name, amount in zip(work[::2], work[1::2], strict=True):
        print(*module.WORKLOADS[name](int(amount)), flush=True)


def give_up(*_: object) -> None:
    """An exception, so that what the workload has started is ended."""
    raise WrongCount("the workload does not end")


if __name__ == "__main__":
    main()
