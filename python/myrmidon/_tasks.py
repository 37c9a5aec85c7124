"""Tasks of event loops that run the code of actors. Called from the native half."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import Any

from myrmidon import _core
from myrmidon.mailbox import AsyncMailbox

current: ContextVar[int | None] = ContextVar("myrmidon.current", default=None)


def start_handler(
    server: "_core.HandlerTask",
    handler: Callable[[Any], Awaitable[object]],
    context: Context,
    loop: asyncio.AbstractEventLoop,
) -> "asyncio.Task[None]":
    """Starts a task that serves an ``async def`` handler."""
    context.run(current.set, server.pid)
    return context.run(loop.create_task, _serve(server, handler))


def start_function(
    mailbox: "_core.Mailbox",
    function: Callable[[AsyncMailbox], Awaitable[object]],
    context: Context,
    loop: asyncio.AbstractEventLoop,
) -> "asyncio.Task[None]":
    """Starts the task of a pull actor."""
    context.run(current.set, mailbox.pid)
    return context.run(loop.create_task, _run(mailbox, function))


async def _serve(server: "_core.HandlerTask", handler: Callable[[Any], Awaitable[object]]) -> None:
    take, wait = server.take, server.wait
    value: object = None
    try:
        while True:
            message = take(value)
            value = None
            if message is not None:
                value = await handler(message)
            elif server.is_over():
                return
            else:
                await wait()
    except asyncio.CancelledError as error:
        if _is_cancelled():
            server.cancelled()
            raise
        server.failed(error)
    except BaseException as error:
        server.failed(error)
        if _is_ctrl_c(error):
            raise


async def _run(mailbox: "_core.Mailbox", function: Callable[[AsyncMailbox], Awaitable[object]]) -> None:
    try:
        await function(AsyncMailbox(mailbox))
    except asyncio.CancelledError as error:
        if _is_cancelled():
            mailbox._cancelled()
            raise
        mailbox._returned(error)
    except BaseException as error:
        mailbox._returned(error)
        if _is_ctrl_c(error):
            raise
    else:
        mailbox._returned()


def _is_cancelled() -> bool:
    """Whether this task is to end, and not only something that it has waited for."""
    task = asyncio.current_task()
    if sys.version_info >= (3, 11):
        return task is not None and task.cancelling() > 0
    return True


def _is_ctrl_c(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


class LoopWatch:
    """Has ``close`` called when the running loop ends its async generators, as ``asyncio.run`` does.

    To the loop it is such a generator. A true one would keep the loop.
    """

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = close
        begun = sys.get_asyncgen_hooks().firstiter
        if begun is not None:
            begun(self)  # type: ignore[arg-type]

    async def aclose(self) -> None:
        self._close()


def serve_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Runs a loop on this thread until it is stopped, and puts an end to what is left in it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
