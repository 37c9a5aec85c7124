"""Supervisors as values: what runs, in which order, and what happens when it ends.

``rt.supervise(one_for_one([worker(handle, id="a")]))`` starts one. A spec may be kept, nested in another
as a child, and started any number of times.
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias

from myrmidon.options import Bounded, Options

if TYPE_CHECKING:
    import asyncio

    from myrmidon.actor import Actor, ActorRef
    from myrmidon.options import _Priority
    from myrmidon.runtime import Runtime

    _Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
    _Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
    _AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
    _Start: TypeAlias = "Callable[[Runtime], int | ActorRef[Any]] | SupervisorSpec"

__all__ = [
    "Child",
    "SupervisorSpec",
    "dynamic",
    "one_for_all",
    "one_for_one",
    "rest_for_one",
    "worker",
]

P = ParamSpec("P")


@dataclass(frozen=True)
class Child:
    """One child of a supervisor.

    ``start`` is a function that starts an actor with the runtime it is given and returns its PID or
    ``ActorRef``; it runs on a thread of its own, again at each restart, and may block. What it starts is
    linked to the supervisor. Or it is a ``SupervisorSpec``: a supervisor below this one.

    ``id`` names it to its supervisor. Left empty, it is the name of the actor, class or function in a list of children,
    and a number for one that is added later.

    ``restart``: ``"permanent"`` children are always started again, ``"transient"`` ones unless they ended
    in good order (reason ``normal`` or ``shutdown``), ``"temporary"`` ones never.

    ``shutdown``: seconds that it may take to stop before it is killed; 0 kills at once, ``math.inf`` waits.
    ``None`` is 5 seconds, and for supervisors no limit.

    ``significant``: its end in good order may end the supervisor, as its ``auto_shutdown`` says.
    """

    start: "_Start"
    id: str = ""
    restart: "_Restart" = "permanent"
    shutdown: float | None = None
    significant: bool = False

    @staticmethod
    def of(actor: "Callable[P, Actor]", /, *args: P.args, **kwargs: P.kwargs) -> "Child":
        """The class actor ``actor(*args, **kwargs)`` as a child."""
        return Child(_ClassStart(actor, args, kwargs))

    def but(
        self,
        *,
        id: str | None = None,
        restart: "_Restart | None" = None,
        shutdown: float | None = None,
        significant: bool | None = None,
        options: Options | None = None,
    ) -> "Child":
        """The same child with other settings. ``options`` are for the class actor of ``Child.of``."""
        start = self.start
        if options is not None:
            if not isinstance(start, _ClassStart):
                raise TypeError("options are for children made by Child.of: give others theirs in start")
            start = dataclasses.replace(start, options=options)
        return dataclasses.replace(
            self,
            start=start,
            id=self.id if id is None else id,
            restart=restart or self.restart,
            shutdown=self.shutdown if shutdown is None else shutdown,
            significant=self.significant if significant is None else significant,
        )


@dataclass(frozen=True)
class SupervisorSpec:
    """A supervisor as a value; see ``one_for_one`` and its like, which make one."""

    strategy: "_Strategy"
    children: tuple[Child, ...] = ()
    max_restarts: int = 1
    within: float = 5.0
    auto_shutdown: "_AutoShutdown" = "never"
    max_children: int | None = None


def one_for_one(
    children: Iterable[Child] = (),
    *,
    max_restarts: int = 1,
    within: float = 5.0,
    auto_shutdown: "_AutoShutdown" = "never",
    max_children: int | None = None,
) -> SupervisorSpec:
    """A supervisor that restarts the child that failed, and no other.

    Children start one after another, and stop in the opposite order. ``max_restarts`` are allowed in any
    stretch of ``within`` seconds; the next one ends the supervisor, with reason ``shutdown`` and after all
    its children, and the supervisor above restarts it or fails in turn.

    ``auto_shutdown``: ends by itself once ``"any_significant"`` child or ``"all_significant"`` children have
    ended in good order. ``max_children`` bounds how many there may be.
    """
    return _spec("one_for_one", children, max_restarts, within, auto_shutdown, max_children)


def one_for_all(
    children: Iterable[Child] = (),
    *,
    max_restarts: int = 1,
    within: float = 5.0,
    auto_shutdown: "_AutoShutdown" = "never",
    max_children: int | None = None,
) -> SupervisorSpec:
    """A supervisor that restarts all children when one fails: all are stopped first, last one first.

    The arguments are those of ``one_for_one``.
    """
    return _spec("one_for_all", children, max_restarts, within, auto_shutdown, max_children)


def rest_for_one(
    children: Iterable[Child] = (),
    *,
    max_restarts: int = 1,
    within: float = 5.0,
    auto_shutdown: "_AutoShutdown" = "never",
    max_children: int | None = None,
) -> SupervisorSpec:
    """A supervisor that restarts the child that failed and those behind it in the list.

    The arguments are those of ``one_for_one``.
    """
    return _spec("rest_for_one", children, max_restarts, within, auto_shutdown, max_children)


def dynamic(
    *,
    max_restarts: int = 1,
    within: float = 5.0,
    auto_shutdown: "_AutoShutdown" = "never",
    max_children: int | None = None,
) -> SupervisorSpec:
    """A supervisor for children that come and go by ``start_child`` and ``stop_child``.

    It starts with none, forgets those that have stopped, restarts the one that failed, and stops all at
    the same time. Their ids may be empty. The arguments are those of ``one_for_one``.
    """
    return _spec("dynamic", (), max_restarts, within, auto_shutdown, max_children)


def worker(
    handler: Callable[[Any], object],
    *,
    id: str = "",
    restart: "_Restart" = "permanent",
    shutdown: float | None = None,
    significant: bool = False,
    budget: int = 100,
    name: str | None = None,
    mailbox: Bounded | None = None,
    priority: "_Priority" = "normal",
    trap_exit: bool = False,
    blocking: bool = False,
    concurrency: int = 1,
    loop: "asyncio.AbstractEventLoop | None" = None,
) -> Child:
    """An actor with this handler as a child.

    The first arguments are those of ``Child``, the others those of ``Runtime.spawn``. An ``async def`` runs in
    ``loop``, or else in that which was running where ``supervise`` or ``start_child`` was called, or in the runtime's own.
    """
    if not callable(handler):
        raise TypeError(f"the code of an actor is a callable of one argument, not {handler!r}")

    def start(rt: "Runtime") -> int:
        return rt.spawn(
            handler,
            budget,
            name=name,
            mailbox=mailbox,
            priority=priority,
            trap_exit=trap_exit,
            blocking=blocking,
            concurrency=concurrency,
            loop=loop,
        )

    start.__name__ = name or str(getattr(handler, "__name__", "worker"))
    return Child(start, id=id, restart=restart, shutdown=shutdown, significant=significant)


@dataclass(frozen=True)
class _ClassStart:
    """Starts a class actor."""

    actor: "Callable[..., Actor]"
    # Not hashed, so that a `Child` has a hash whatever its actor is given.
    args: tuple[Any, ...] = dataclasses.field(hash=False)
    kwargs: dict[str, Any] = dataclasses.field(hash=False)
    options: Options | None = None

    @property
    def __name__(self) -> str:
        return str(getattr(self.actor, "__name__", "actor"))

    def __call__(self, rt: "Runtime") -> "ActorRef[Any]":
        if self.options is None:
            return rt.start(self.actor, *self.args, **self.kwargs)
        return rt.start_with(self.options, self.actor, *self.args, **self.kwargs)


def _spec(
    strategy: "_Strategy",
    children: Iterable[Child],
    max_restarts: int,
    within: float,
    auto_shutdown: "_AutoShutdown",
    max_children: int | None,
) -> SupervisorSpec:
    if isinstance(children, Child):
        raise TypeError("the children of a supervisor are a list: write [child], also for one")
    named = tuple(_named(child, number) for number, child in enumerate(children, 1))
    return SupervisorSpec(strategy, named, _restarts(max_restarts), within, auto_shutdown, max_children)


def _restarts(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"max_restarts is a number of restarts, 0 or more, not {number!r}")
    return number


def _named(child: object, number: int) -> Child:
    """The child with an id: its own, or that of its function, or its number."""
    if not isinstance(child, Child):
        raise TypeError(f"a child of a supervisor is a Child, or made by worker, not {child!r}")
    if child.id:
        return child
    return dataclasses.replace(child, id=getattr(child.start, "__name__", f"#{number}"))
