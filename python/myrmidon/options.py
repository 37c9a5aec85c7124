"""How actors are started: values for the keyword arguments of ``spawn``, and for class actors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import asyncio

    _Policy: TypeAlias = Literal["reject", "drop_new", "drop_old", "block", "redirect"]
    _Priority: TypeAlias = Literal["high", "normal", "low"]

__all__ = ["Bounded", "Options"]


@dataclass(frozen=True)
class Bounded:
    """A mailbox in which at most ``capacity`` messages wait. ``policy`` says what becomes of one more.

    ``"reject"``: ``send`` returns ``False``. ``"drop_new"``: it becomes a dead letter. ``"drop_old"``: it
    takes the place of the one that has waited longest, which becomes a dead letter. ``"block"``: as
    ``"reject"``, but ``send_blocking`` waits for room. ``"redirect"``: it goes to the actor
    ``redirect_to``, and as with ``"reject"`` to none if that one unpickles what it is sent and this one takes
    messages from anybody. System messages always find room and do not count.
    """

    capacity: int
    policy: "_Policy" = "reject"
    redirect_to: int | None = None


@dataclass(frozen=True)
class Options:
    """How a class actor is started: what ``spawn`` takes as keyword arguments, as a value.

    ``budget`` is the number of messages that it handles before others have their turn; ``name`` is
    registered at once; ``mailbox`` bounds the messages that wait; ``priority`` says who runs first;
    with ``trap_exit`` the exits of linked actors come to ``exited``; with ``blocking`` its methods may
    block, on threads of their own.

    Where a method is ``async def``, all run in ``loop``, the event loop that is running at the start unless told
    otherwise, or the runtime's own where none runs: one call after another, or up to ``concurrency`` at a
    time.
    """

    budget: int = 100
    name: str | None = None
    mailbox: Bounded | None = None
    priority: "_Priority" = "normal"
    trap_exit: bool = False
    blocking: bool = False
    concurrency: int = 1
    loop: "asyncio.AbstractEventLoop | None" = None
