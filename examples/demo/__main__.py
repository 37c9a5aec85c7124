"""The main job of Myrmidon, on three processes: count words, swap code, lose a node, heal.

Run it with `make demo`, or `make demo TRANSPORT=tcp`; the parts:

- `driver.py` starts the processes, follows the plan and checks what came out;
- `coordinator.py` hands out numbered chunks and counts each once (`ledger.py` keeps the books);
- `worker.py` counts words in chunks, with the code of `counting.py`;
- `corpus.py` makes the text, `processes.py` holds a child process, `screen.py` prints.
"""

import argparse
import os
import signal
import sys

import driver


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Count words on a cluster that loses a node.")
    parser.add_argument("--transport", choices=["quic", "tcp"], default="quic")
    parser.add_argument("--deadline", type=float, default=60.0, help="give up after so many seconds")
    arguments = parser.parse_args()
    # A polite kill ends the children like Ctrl-C does, which works in the background too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return driver.run(arguments.transport, arguments.deadline)
    except KeyboardInterrupt:
        print("\ninterrupted; every process has been ended", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
