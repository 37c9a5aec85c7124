"""Myrmidon: supervised actors, hot code swap and an encrypted mesh for Python.

>>> import myrmidon
>>> with myrmidon.Runtime() as rt:
...     pid = rt.spawn(lambda message: print(message.decode()))
...     _ = rt.send(pid, b"hello")
...     _ = rt.stop(pid)  # takes its place behind the message
...     _ = rt.join(pid)
hello

PIDs are plain ``int``, messages are ``bytes``, durations are seconds.
"""

from myrmidon import errors
from myrmidon._core import (
    ExitReason,
    NodeEvent,
    NodeInfo,
    PySystemMessage,
    allocate_buffer,
    free_buffer,
    version,
)
from myrmidon.errors import MyrmidonError
from myrmidon.runtime import Runtime

__version__ = version()

__all__ = [
    "ExitReason",
    "MyrmidonError",
    "NodeEvent",
    "NodeInfo",
    "PySystemMessage",
    "Runtime",
    "__version__",
    "allocate_buffer",
    "errors",
    "free_buffer",
    "version",
]
