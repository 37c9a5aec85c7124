"""What stands between the runtime and the object of a class actor."""

import asyncio
import inspect
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from myrmidon._core import ExitReason, Failure, PySystemMessage
from myrmidon.errors import CodecError, MyrmidonError, NoMethod

if TYPE_CHECKING:
    from myrmidon.actor import Actor
    from myrmidon.runtime import Runtime

__all__ = ["CALL", "CAST", "Host"]

# What a message begins with.
CAST, CALL = 0, 1
# What an async class actor is given first.
_START = object()

# Who sends what cannot be handled decides what the error says.
_LONGEST_LOGGED = 500
# How many of those errors are logged in a second (L27): who sends them is not known here.
_MOST_LOGGED = 10


class Host:
    """Stands between the runtime and one object: makes calls of messages, and keeps the hooks."""

    __slots__ = ("_left_out", "_logged", "_ready", "_since", "instance", "rt")

    def __init__(self, instance: "Actor", rt: "Runtime") -> None:
        if instance._hosted:
            raise MyrmidonError(f"{instance!r} is an actor's already: make a new object for each")
        # Also where a class, such as a frozen dataclass, lets nobody set attributes.
        object.__setattr__(instance, "_hosted", True)
        self.instance = instance
        self.rt = rt
        # Set once `started` has run in the loop; none where it need not.
        self._ready: asyncio.Event | None = None
        # The second in which messages were refused last, and how many of those were logged in it; how many not, since the last.
        self._since = self._logged = self._left_out = 0

    def handler(self) -> Callable[[Any], object]:
        return self.handle_async if self.instance._is_async else self.handle

    def started(self, pid: int) -> object:
        """What it returns, ``handle_async`` is given before any message."""
        object.__setattr__(self.instance, "_place", (self.rt, pid))
        if not self.instance._is_async:
            return self.instance.started()
        if not self.instance._starts:
            return None
        self._ready = asyncio.Event()
        return _START

    def stopped(self, reason: ExitReason) -> None:
        try:
            self.instance.stopped(reason)
        except BaseException:
            self.rt._failed(f"stopped() of {self.instance!r} raised", traceback.format_exc())

    def upgrade(self, old: "Host | None", version: int) -> None:
        self.instance.upgrade(None if old is None else old.instance, version)

    def handle(self, message: Any) -> object:
        if message.__class__ is PySystemMessage:
            self.instance.exited(message)
            return None
        try:
            kind, method, args, kwargs = self._read(message)
        except MyrmidonError as error:
            return self._refuse(error)
        try:
            result = method(self.instance, *args, **kwargs)
        except BaseException as error:
            return self._raised(error)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError(
                f"{method.__qualname__} returned a coroutine, which nobody runs in a class without an async def: make it "
                "one, also where it is decorated"
            )
        return self._answer(kind, result)

    async def handle_async(self, message: Any) -> object:
        if self._ready is not None:
            if message is _START:
                await self._start()
                return None
            # Only with a concurrency above 1 can a message be here before that.
            await self._ready.wait()
        if message.__class__ is PySystemMessage:
            if (exited := self.instance.exited(message)) is not None:
                await exited
            return None
        try:
            kind, method, args, kwargs = self._read(message)
        except MyrmidonError as error:
            return self._refuse(error)
        try:
            result = method(self.instance, *args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            return self._raised(error)
        return self._answer(kind, result)

    async def _start(self) -> None:
        ready, started = self._ready, self.instance.started()
        if started is not None:
            await started
        self._ready = None
        if ready is not None:
            ready.set()

    def _read(self, message: bytes) -> tuple[int, Callable[..., Any], list[Any], dict[str, Any]]:
        """What is to be called. A message comes from anywhere, so nothing in it is taken for granted."""
        call = self.instance._codec.decode(message)
        if call.__class__ is not list or len(call) != 4:
            raise CodecError("the message is no call: use call() or cast() of an ActorRef")
        kind, name, args, kwargs = call
        if kind.__class__ is not int or kind not in (CAST, CALL):
            raise CodecError("the message is neither a cast nor a call")
        if name.__class__ is not str:
            raise CodecError("the name of a method is a str")
        method = self.instance._methods.get(name)
        if method is None:
            raise NoMethod(f"{type(self.instance).__name__} has no public method {name[:100]!r}")
        if args.__class__ is not list or kwargs.__class__ is not dict:
            raise CodecError("the arguments of a call are a list and a dict")
        return kind, method, args, kwargs

    def _refuse(self, error: Exception) -> object:
        """The message was no call that this actor knows. It goes on; who asked is told."""
        second = int(time.monotonic())
        if second != self._since:
            self._since, self._logged = second, 0
        if self._logged < _MOST_LOGGED:
            text, before = str(error), f" ({self._left_out} more before it)" if self._left_out else ""
            self._logged, self._left_out = self._logged + 1, 0
            if len(text) > _LONGEST_LOGGED:
                text = text[:_LONGEST_LOGGED] + "…"
            self.rt._warn(f"{self.instance!r} got a message that it cannot handle{before}: {text}")
        else:
            self._left_out += 1
        return Failure(error)

    def _raised(self, error: BaseException) -> object:
        """A call that does not fit the method, and what the interface names, is the caller's to handle."""
        here = error.__traceback__
        misfit = isinstance(error, TypeError) and here is not None and here.tb_next is None
        if misfit or isinstance(error, self.instance._raises):
            return Failure(error)
        raise error

    def _answer(self, kind: int, result: object) -> object:
        if kind != CALL:
            return None
        try:
            return self.instance._codec.encode(result)
        except MyrmidonError as error:
            return Failure(error)
