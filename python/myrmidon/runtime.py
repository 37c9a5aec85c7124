"""The ``Runtime``: the native one, plus what is best said in Python."""

import warnings
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from myrmidon import _core
from myrmidon._host import Host
from myrmidon.actor import Actor, ActorRef, checked_options, made
from myrmidon.errors import RuntimeClosed
from myrmidon.options import Options
from myrmidon.supervisors import SupervisorSpec

__all__ = ["Runtime"]

P = ParamSpec("P")
A = TypeVar("A", bound=Actor)


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
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    async def __aenter__(self) -> "Runtime":
        self._check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown_py()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        # As of sockets and event loops: `python -X dev` shows it, with `-X tracemalloc` also where it was made.
        if (left := self._left_open()) is not None:
            _warn(f"unclosed {self!r}: {left}", ResourceWarning, source=self)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeClosed("this Runtime was shut down: make a new one")

    def start(self, actor: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[A]:
        """Starts the class actor ``actor(*args, **kwargs)``. The object is made here and now, so that what
        its constructor raises is raised here; everything else happens in the actor.

        Raises ``TypeError`` for what is no class actor, and ``RegisterError`` if the name in the options of
        its class is taken.
        """
        return self._start(None, made(actor, *args, **kwargs))

    def start_with(
        self, options: Options, actor: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs
    ) -> ActorRef[A]:
        """As ``start``, with these options instead of those of the class."""
        return self._start(checked_options(options), made(actor, *args, **kwargs))

    def _start(self, options: Options | None, instance: A) -> ActorRef[A]:
        host = Host(instance, self)
        options = options or instance._options
        pid = self._start_actor(
            host,
            host.handler(),
            budget=options.budget,
            name=options.name,
            mailbox=options.mailbox,
            priority=options.priority,
            trap_exit=options.trap_exit,
            blocking=options.blocking,
            guarded=instance._codec.trusts,
            concurrency=options.concurrency,
            loop=options.loop,
        )
        return ActorRef(self, pid, type(instance))

    def supervise(self, spec: SupervisorSpec) -> _core.Supervisor:
        """Starts a supervisor and its children, one after another, and waits until all run.

        Raises ``SpecError`` if the spec makes no sense, ``ChildError`` if a child does not start; those
        before it were stopped then.
        """
        return self._supervise(spec, self)
