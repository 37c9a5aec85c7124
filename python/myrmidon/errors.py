"""What can go wrong, as one tree: catch ``MyrmidonError`` for all of it.

Each class also derives from the built-in error that fits, so ``except ConnectionError`` or
``except TimeoutError`` work without importing this module. Every message ends with a next step.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from myrmidon import ExitReason

__all__ = [
    "ActorEnded",
    "AddressError",
    "AskTimeout",
    "Busy",
    "ChildError",
    "CodecError",
    "ForkedError",
    "ListenError",
    "MailboxClosed",
    "MyrmidonError",
    "NoHistory",
    "NoMethod",
    "NoProcess",
    "NoReply",
    "NodeDown",
    "OwnActor",
    "PayloadTooLarge",
    "RegisterError",
    "RemoteActorError",
    "RuntimeClosed",
    "SpecError",
    "StartError",
    "StepLimit",
    "Timeout",
    "Unsupported",
]


class MyrmidonError(Exception):
    """The root of all errors of Myrmidon."""


class StartError(MyrmidonError, RuntimeError):
    """A ``Runtime`` could not be started: an unknown transport, bad certificates, no threads."""


class RuntimeClosed(MyrmidonError, RuntimeError):
    """The ``Runtime`` was shut down; make a new one."""


class ForkedError(MyrmidonError, RuntimeError):
    """The ``Runtime`` was made before ``os.fork()``; its threads do not exist in the child."""


class AddressError(MyrmidonError, ValueError):
    """A text that is no address; write ``"host:port"`` or ``"node@host:port"``."""


class ListenError(MyrmidonError, OSError):
    """The address could not be bound, or may not be for safety."""


class RegisterError(MyrmidonError, ValueError):
    """A name that is taken by a living actor or is not a legal name."""


class NoProcess(MyrmidonError, LookupError):
    """No living actor of this runtime has the PID."""


class NoHistory(MyrmidonError, LookupError):
    """The actor has no earlier version of its code to go back to."""


class ActorEnded(MyrmidonError):
    """The actor ended before it answered; ``reason`` says why."""

    def __init__(self, text: str, reason: ExitReason) -> None:
        super().__init__(text)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ActorEnded], tuple[str, ExitReason]]:
        return type(self), (str(self), self.reason)


class MailboxClosed(MyrmidonError, EOFError):
    """The actor was stopped, killed or swapped: its mailbox gives nothing more."""


class RemoteActorError(MyrmidonError):
    """The handler of an actor on another node raised; no object of there comes here.

    ``kind`` is the name of the exception's class, ``traceback`` its traceback there, as text,
    which is shown with this error's own as a note.
    """

    def __init__(self, text: str, kind: str, traceback: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.traceback = traceback
        if sys.version_info >= (3, 11):
            self.add_note("On its node:\n" + traceback.rstrip())

    def __reduce__(self) -> tuple[type[RemoteActorError], tuple[str, str, str]]:
        return type(self), (str(self), self.kind, self.traceback)


class NoReply(MyrmidonError):
    """The question was dropped, by the actor or by its full mailbox; nobody will answer it."""


class OwnActor(MyrmidonError, RuntimeError):
    """An actor waited for an answer of its own; call the function instead."""


class PayloadTooLarge(MyrmidonError, ValueError):
    """The payload is larger than the peer accepts; split it."""


class NodeDown(MyrmidonError, ConnectionError):
    """The remote node cannot be reached, or the link to it was lost."""


class Busy(MyrmidonError):
    """A bounded queue is full and stayed so for the time that the call waits: try again later. Or the call would wait
    for what cannot go on meanwhile, as in the event loop of the actor that it waits for.
    """


class Timeout(MyrmidonError, TimeoutError):
    """The deadline of the call passed."""


class StepLimit(MyrmidonError, RuntimeError):
    """A simulation has taken all the steps that its ``step_limit`` allows, as one of its actors never rests, for example."""


class AskTimeout(Timeout):
    """The actor has not answered in time. The work may have been done nevertheless, or be done yet."""


class NoMethod(MyrmidonError, AttributeError):
    """A call of what is no public method of the class actor."""


class CodecError(MyrmidonError, ValueError):
    """Data that does not travel, or bytes that are no such data; the text says which and why."""


class SpecError(MyrmidonError, ValueError):
    """A supervisor's or child's spec that makes no sense; the text names the field."""


class ChildError(MyrmidonError, RuntimeError):
    """A supervisor cannot do it: the child did not start, is unknown, runs, or is one too many."""


class Unsupported(MyrmidonError):
    """It cannot be done with this actor: it lives on another node, which knows no such call, or is a supervisor, or it unpickles
    what it gets (``codec="pickle"``) and the nodes are not connected by a transport with certificates.
    """
