"""One run of one or more workloads: ``python benches/python PEER WORK AMOUNT [WORK AMOUNT ...]``.

Prints a line of figures for each; a count that is wrong ends the program with an error.
"""

import importlib
import sys


def main() -> None:
    peer, *work = sys.argv[1:]
    module = importlib.import_module(f"peer_{peer}")
    if not work:
        print(module.version())
    for name, amount in zip(work[::2], work[1::2], strict=True):
        print(*module.WORKLOADS[name](int(amount)), flush=True)


if __name__ == "__main__":
    main()
