"""The ``Runtime``: the native one, plus what is best said in Python."""

import asyncio
from types import TracebackType

from myrmidon import _core

__all__ = ["Runtime"]


class Runtime(_core.Runtime):
    """An actor runtime: its actors, its names and its place in the mesh.

    A process may have several; actors, names and PIDs of one mean nothing to another. Use it as
    a context manager (``with`` or ``async with``) to have it shut down at the end of the block.
    """

    @property
    def _inner(self) -> "Runtime":
        # Programs written for earlier versions reach some methods through `rt._inner`.
        return self

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    async def __aenter__(self) -> "Runtime":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.shutdown)

    async def ask(
        self, pid: int, data: bytes | bytearray | memoryview, timeout: float | None = 5.0
    ) -> bytes:
        """Asks a local actor and waits for its answer, without blocking the event loop.

        As ``ask_sync``, which says what an answer is and what is raised. Works in any event loop of
        any thread. Cancelling the task gives the question up: if no handler has it yet, none
        gets it.
        """
        answer: bytes = await self._ask(pid, data, timeout)
        return answer

    async def resolve_remote_py(self, addr: str, name: str) -> int | None:
        """Asks the node at ``addr`` who has ``name``, without blocking the event loop.

        Works in any event loop of any thread. Cancelling the task gives the request up.

        Returns the PID on that node, for ``send_remote``; ``None`` if it knows no such name.

        Raises ``NodeDown`` if the node cannot be reached, ``Timeout`` if it does not answer
        within ``request_timeout``, and ``AddressError``.
        """
        request = self._resolve(addr, name)
        try:
            answer: int | None = await request.answer
            return answer
        finally:
            request.cancel()
