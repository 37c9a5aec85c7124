"""The mailbox of a pull actor whose function is ``async def``."""

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, TypeVar

from myrmidon import _core
from myrmidon.errors import MailboxClosed

__all__ = ["AsyncMailbox"]

Message = bytes | _core.PySystemMessage

_T = TypeVar("_T")


class AsyncMailbox:
    """The messages of a pull actor whose function runs in an event loop.

    Iterate over it with ``async for``, or take messages one by one with ``recv``. It ends, and
    ``recv`` raises ``MailboxClosed``, when the actor is stopped and what was sent before is taken.
    A kill cancels the function.
    """

    def __init__(self, mailbox: _core.Mailbox) -> None:
        self._mailbox = mailbox

    @property
    def pid(self) -> int:
        """The PID of the actor."""
        return self._mailbox.pid

    @property
    def reply(self) -> "_core.Reply | None":
        """The way back for the answer to the message received last.

        ``None`` if that was no question. If it is not taken before the next message is received, or waited for without
        a ``timeout``, who asked gets ``NoReply``.

        It is that of the message which any task received last: where several do, use ``recv_with_reply``.
        """
        return self._mailbox.reply

    async def recv(self, timeout: float | None = None) -> Message:
        """Waits for the next message, at most ``timeout`` seconds.

        Raises ``Timeout``, and ``MailboxClosed`` when there will be no more.
        """
        return await self._receive(self._mailbox._take, None, timeout)

    async def recv_with_reply(
        self,
        predicate: Callable[[Any], object] | None = None,
        *,
        prefix: bytes | None = None,
        kind: Literal["message", "ask", "system"] | None = None,
        timeout: float | None = None,
    ) -> "tuple[Message, _core.Reply | None]":
        """Waits for a message as ``recv``, or as ``select`` where a condition is given.

        Returns it with the way back for its answer, which is ``None`` if it was no question. For a function of which
        several tasks receive: ``reply`` stays as it is.

        If the way back is dropped unused, who asked gets ``NoReply``. Raises as ``select``.
        """
        every = predicate is None and prefix is None and kind is None
        matcher = None if every else _core.Matcher(predicate, prefix, kind)
        return await self._receive(self._mailbox._take_with_reply, matcher, timeout, True)

    async def recv_many(self, limit: int = 100, timeout: float | None = None) -> list[Message]:
        """Waits for a message and returns it with those that are there already.

        At most ``limit`` in all. One that is asked ends the list, so that ``reply`` belongs to
        the last. Raises as ``recv``.
        """
        if operator.index(limit) < 1:
            raise ValueError("limit is at least 1 message")
        messages: list[Message] = [await self._receive(self._mailbox._take, None, timeout)]
        self._mailbox._take_more(messages, limit)
        return messages

    async def select(
        self,
        predicate: Callable[[Any], object] | None = None,
        *,
        prefix: bytes | None = None,
        kind: Literal["message", "ask", "system"] | None = None,
        timeout: float | None = None,
    ) -> Message:
        """Waits for the oldest message that meets all conditions; the others stay, in order.

        ``predicate`` is called with a message; ``prefix`` is what its bytes begin with; ``kind``
        is "message" for what was sent, "ask" for what was asked, "system" for a
        ``PySystemMessage``. The last two are looked at first and cost no call.

        Raises as ``recv``, and what ``predicate`` raises.
        """
        return await self._receive(self._mailbox._take, _core.Matcher(predicate, prefix, kind), timeout)

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self._receive(self._mailbox._take, None, None)
        except MailboxClosed:
            raise StopAsyncIteration from None

    def __len__(self) -> int:
        """How many messages the actor has given to its function that were not received."""
        return len(self._mailbox)

    def __bool__(self) -> bool:
        """A mailbox is true, also when it is empty."""
        return True

    def __repr__(self) -> str:
        return f"<myrmidon.AsyncMailbox of actor {self.pid}, {len(self)} messages>"

    async def _receive(
        self,
        take: "Callable[[_core.Matcher | None], _T | None]",
        matcher: "_core.Matcher | None",
        timeout: float | None,
        keeps_reply: bool = False,
    ) -> _T:
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is in seconds and not negative, not {timeout}")
        taken = take(matcher)
        if taken is not None:
            return taken
        # A wait that may end without a message leaves the last one answerable.
        if timeout is None and not keeps_reply:
            self._mailbox._forget_reply()
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while taken is None:
            left = None if deadline is None else max(0.0, deadline - loop.time())
            arrival = self._mailbox._wait(matcher, left)
            try:
                await arrival
            except BaseException:
                self._mailbox._withdraw(arrival)
                raise
            finally:
                del arrival
            taken = take(matcher)
        return taken
