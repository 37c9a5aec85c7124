"""Tasks of event loops that run the code of actors. Called from the native half."""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import cast

from myrmidon import _core
from myrmidon.mailbox import AsyncMailbox

# What says which task of a loop is the current one: a function from Python 3.12, before that a dictionary.
swap_current_task = getattr(asyncio.tasks, "_swap_current_task", None)
current_tasks = getattr(asyncio.tasks, "_current_tasks", None)


class _NoLoop:
    def get_debug(self) -> bool:
        return False


# A future that is done, and belongs to no loop.
done: "asyncio.Future[None]" = asyncio.Future(loop=cast(asyncio.AbstractEventLoop, _NoLoop()))
done.set_result(None)

current: ContextVar[int | None] = ContextVar("myrmidon.current", default=None)


def start_handler(
    server: "_core.HandlerTask", context: Context, loop: asyncio.AbstractEventLoop
) -> "asyncio.Task[None]":
    """Starts a task that serves an ``async def`` handler."""
    context.run(current.set, server.pid)
    return context.run(loop.create_task, server)


def start_function(
    mailbox: "_core.Mailbox",
    function: Callable[[AsyncMailbox], Awaitable[object]],
    context: Context,
    loop: asyncio.AbstractEventLoop,
) -> "asyncio.Task[None]":
    """Starts the task of a pull actor."""
    context.run(current.set, mailbox.pid)
    return context.run(loop.create_task, _run(mailbox, function))


async def _run(mailbox: "_core.Mailbox", function: Callable[[AsyncMailbox], Awaitable[object]]) -> None:
    try:
        await function(AsyncMailbox(mailbox))
    except asyncio.CancelledError as error:
        if is_cancelled():
            mailbox._cancelled()
            raise
        mailbox._returned(error)
    except BaseException as error:
        mailbox._returned(error)
        if is_ctrl_c(error):
            raise
    else:
        mailbox._returned()


def is_cancelled() -> bool:
    """Whether this task is to end, and not only something that it has waited for."""
    task = asyncio.current_task()
    if sys.version_info >= (3, 11):
        return task is not None and task.cancelling() > 0
    return True


def is_ctrl_c(error: BaseException) -> bool:
    """Whether it is to end the loop too."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def begin_thread() -> None:
    """Has who traces or profiles the threads of ``threading``, such as a debugger, see this one too."""
    if (trace := threading.gettrace()) is not None:
        sys.settrace(trace)
    if (profile := threading.getprofile()) is not None:
        sys.setprofile(profile)


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


async def awaited(begin: Callable[[], "_core.Request"]) -> object:
    """Awaits the call that ``begin`` begins, and gives it up if its task is cancelled."""
    request = begin()
    try:
        await request.done
        return request.result()
    finally:
        request.cancel()
        # An exception that is raised here would keep it, and it the exception.
        del request


def serve_loop(loop: asyncio.AbstractEventLoop, is_stopped: Callable[[], bool]) -> None:
    """Runs a loop on this thread until its owner has stopped it, and puts an end to what is left in it.

    Many actors share it: what a task or a callback of one of them raises, ``SystemExit`` too, or its ``loop.stop()``, does not
    end the others.
    """
    asyncio.set_event_loop(loop)
    try:
        while not is_stopped():
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                text = "a task or a callback in the loop of a Runtime is not to end the loop, which goes on"
                loop.call_exception_handler({"message": text, "exception": error})
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
