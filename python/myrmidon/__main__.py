"""The ``myrmidon`` command: ``python -m myrmidon`` and the console script of the wheel."""

import signal
import sys

from myrmidon import _core


def main() -> int:
    """Runs the command line of this process and returns its exit status."""
    # The command runs outside Python, where no KeyboardInterrupt could be raised.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _core.command_line(["myrmidon", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
