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

from myrmidon import _core, codec, errors
from myrmidon._core import (
    ActorBonds,
    ActorInfo,
    Buffer,
    ChildInfo,
    DeadLetter,
    DeadLetterWatch,
    ExitReason,
    Mailbox,
    NodeEvent,
    NodeInfo,
    PySystemMessage,
    Reply,
    Supervisor,
    allocate_buffer,
    current,
    free_buffer,
    version,
)
from myrmidon.actor import Actor, ActorRef
from myrmidon.codec import message
from myrmidon.errors import MyrmidonError
from myrmidon.mailbox import AsyncMailbox
from myrmidon.options import Bounded, Options
from myrmidon.runtime import Runtime
from myrmidon.supervisors import Child, SupervisorSpec, dynamic, one_for_all, one_for_one, rest_for_one, worker

__version__ = version()
_core.load()

__all__ = [
    "Actor",
    "ActorBonds",
    "ActorInfo",
    "ActorRef",
    "AsyncMailbox",
    "Bounded",
    "Buffer",
    "Child",
    "ChildInfo",
    "DeadLetter",
    "DeadLetterWatch",
    "ExitReason",
    "Mailbox",
    "MyrmidonError",
    "NodeEvent",
    "NodeInfo",
    "Options",
    "PySystemMessage",
    "Reply",
    "Runtime",
    "Supervisor",
    "SupervisorSpec",
    "__version__",
    "allocate_buffer",
    "codec",
    "current",
    "dynamic",
    "errors",
    "free_buffer",
    "message",
    "one_for_all",
    "one_for_one",
    "rest_for_one",
    "version",
    "worker",
]
