"""Actors whose state is an object and whose messages are calls of its methods, with their types.

>>> import myrmidon
>>> class Counter(myrmidon.Actor):
...     def __init__(self, total: int = 0) -> None:
...         self.total = total
...
...     def add(self, number: int) -> int:
...         self.total += number
...         return self.total
>>> with myrmidon.Runtime() as rt:
...     counter = rt.start(Counter, 10)
...     _ = counter.cast(Counter.add, 1)  # does not wait
...     print(counter.call_sync(Counter.add, 5))
16
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

from myrmidon._codecs import CODECS, ActorCodec
from myrmidon._core import ExitReason, PySystemMessage
from myrmidon._host import CALL, CAST, Host
from myrmidon.errors import MyrmidonError, NoMethod, Unsupported
from myrmidon.options import Options

if TYPE_CHECKING:
    from typing_extensions import Self

    from myrmidon.runtime import Runtime

__all__ = ["Actor", "ActorRef"]

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A", bound="Actor")
B = TypeVar("B", bound="Actor")



class Actor:
    """The base of class actors. ``rt.start(Counter, 10)`` starts one, as ``Counter(10)``.

    Its public methods can be called by others through an ``ActorRef``; it handles one call after another,
    so they need no locks. Arguments and results are copies: plain data and registered classes (see
    ``myrmidon.codec``).

    What a method raises ends the actor, and is raised at the caller; a supervisor starts it anew. Exceptions
    of the classes in ``raises=`` are part of the interface: the caller gets them, and the actor goes on.

    Keywords of a subclass: ``raises=(Overdrawn, ...)``; ``options=Options(...)``, the default for ``start``;
    ``codec="pickle"``, to let anything travel that can be pickled. Who can send to such an actor can have it run
    any code, so it takes messages from its own process and from nodes that have proved who they are by a
    certificate; what others send is a dead letter.
    """

    _options: ClassVar[Options] = Options()
    _raises: ClassVar[tuple[type[Exception], ...]] = ()
    _codec: ClassVar[ActorCodec] = CODECS["plain"]
    _methods: ClassVar[dict[str, Callable[..., Any]]] = {}
    _is_async: ClassVar[bool] = False
    # Whether there is something to do before the first message.
    _starts: ClassVar[bool] = False
    _place: "tuple[Runtime, int] | None" = None
    _hosted: bool = False

    def __init_subclass__(
        cls,
        *,
        raises: tuple[type[Exception], ...] | None = None,
        options: Options | None = None,
        codec: Literal["plain", "pickle"] | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            super().__init_subclass__(**kwargs)
        except TypeError as error:
            for name in {field.name for field in fields(Options)} & kwargs.keys():
                raise TypeError(f"{name} is one of the options: write options=Options({name}=...)") from error
            raise
        taken = sorted({"pid", "ref", "rt"} & vars(cls).keys())
        if taken:
            raise TypeError(f"{cls.__name__}.{taken[0]} would hide that of every actor: give it another name")
        if raises is not None:
            cls._raises = _exceptions(raises)
        if options is not None:
            cls._options = checked_options(options)
        if codec is not None:
            if codec not in CODECS:
                raise ValueError(f"{codec!r} is no codec of actors: write \"plain\" or \"pickle\"")
            cls._codec = CODECS[codec]
        cls._methods = _public_methods(cls)
        for name in ("stopped", "upgrade"):
            if inspect.iscoroutinefunction(getattr(cls, name)):
                raise TypeError(
                    f"{cls.__name__}.{name} is an async def, and {name} is called outside any event loop: make it a "
                    "plain method"
                )
        cls._starts = cls.started is not Actor.started
        hooks = (cls.started, cls.exited)
        cls._is_async = any(map(inspect.iscoroutinefunction, (*cls._methods.values(), *hooks)))

    @property
    def rt(self) -> "Runtime":
        """The runtime. There is none before the actor has started: not yet in ``__init__``."""
        return self._started_place()[0]

    @property
    def pid(self) -> int:
        """The PID of this actor, from ``started`` on."""
        return self._started_place()[1]

    @property
    def ref(self) -> "ActorRef[Self]":
        """A reference to this actor, from ``started`` on."""
        rt, pid = self._started_place()
        return ActorRef(rt, pid, type(self))

    def started(self) -> "Awaitable[None] | None":
        """Called once, in the actor, before its first message. It may be an ``async def``; in a class with any, it runs
        in the loop.
        """

    def stopped(self, reason: ExitReason) -> None:
        """Called once at the end, unless the actor was killed. It is no ``async def``, and runs on a thread of the
        runtime, also in an async class: the loop may be the reason of the end.
        """

    def exited(self, event: PySystemMessage) -> "Awaitable[None] | None":
        """An actor that this one monitors has ended, or with ``trap_exit`` one that it is linked to. It may be an
        ``async def``.
        """

    def upgrade(self, old: Any, version: int) -> None:
        """Called on the new object when it takes the place of ``old``, which had been version ``version``,
        to take over its state. What it raises keeps the old object. ``old`` is ``None`` where the actor was
        a plain handler. It is no ``async def``, and runs on a thread of the runtime, also in an async class.
        """

    def _started_place(self) -> "tuple[Runtime, int]":
        if self._place is None:
            raise MyrmidonError(f"this {type(self).__name__} has not started: rt.start() starts actors")
        return self._place


class ActorRef(Generic[A]):
    """A typed reference to a class actor. Cheap; it keeps nothing alive.

    That the actor with this PID is one of the class is not checked before the first call.

    Methods are named by their functions, so that type checkers see arguments and result::

        total: int = await counter.call(Counter.add, 5)
    """

    __slots__ = ("_actor", "pid", "rt", "timeout")

    def __init__(self, rt: "Runtime", pid: int, actor: type[A], timeout: float | None = 5.0) -> None:
        self.rt = rt
        self.pid = pid
        self.timeout = timeout
        self._actor = actor

    @overload
    async def call(
        self, method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Calls a method and waits for its result, at most ``timeout`` seconds, without blocking the event
        loop.

        Raises what the method raises, ``CodecError`` for what does not travel, and otherwise as
        ``Runtime.ask``.
        """
        message = self._message(CALL, method, args, kwargs)
        return self._actor._codec.decode(await self.rt.ask(self.pid, message, self.timeout))

    @overload
    def call_sync(
        self, method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def call_sync(self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call_sync(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As ``call``, but blocks the thread; in a handler other actors run meanwhile."""
        message = self._message(CALL, method, args, kwargs)
        return self._actor._codec.decode(self.rt.ask_sync(self.pid, message, self.timeout))

    def cast(self, method: Callable[Concatenate[A, P], object], /, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Has a method called and does not wait. Returns whether the actor was alive to take it."""
        return self.rt.send(self.pid, self._message(CAST, method, args, kwargs))

    def cast_after(
        self, delay: float, method: Callable[Concatenate[A, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> int:
        """Has a method called in ``delay`` seconds. Returns the timer's number, for ``rt.cancel_timer``."""
        return self.rt.send_after(self.pid, delay, self._message(CAST, method, args, kwargs))

    def cast_interval(
        self, interval: float, method: Callable[Concatenate[A, P], object], /, *args: P.args, **kwargs: P.kwargs
    ) -> int:
        """Has a method called every ``interval`` seconds until the timer is cancelled or the actor ends.
        Returns the timer's number, for ``rt.cancel_timer``.
        """
        return self.rt.send_interval(self.pid, interval, self._message(CAST, method, args, kwargs))

    def with_timeout(self, timeout: float | None) -> "ActorRef[A]":
        """The same reference, whose calls wait ``timeout`` seconds; without a limit if that is ``None``."""
        return ActorRef(self.rt, self.pid, self._actor, timeout)

    def upgrade(self, actor: Callable[P, B], /, *args: P.args, **kwargs: P.kwargs) -> "ActorRef[B]":
        """Replaces the object by ``actor(*args, **kwargs)`` behind the calls made so far; PID, name and mailbox
        stay. The new object's ``upgrade`` takes over what it needs of the old one. ``rt.rollback`` goes back.

        The actor goes on running as it was started. Where the new class has ``options`` of its own, their ``loop``,
        ``concurrency`` and ``budget`` hold for its async methods; the other options are for ``start``.

        Raises ``NoProcess`` if the actor has ended, what the constructor raises, and ``MyrmidonError`` for a class that
        blocks where the actor was not started so, or unpickles where it takes messages from anybody.
        """
        instance = made(actor, *args, **kwargs)
        host = Host(instance, self.rt)
        if instance._codec.trusts and not self.rt._is_guarded(self.pid):
            raise MyrmidonError(
                f"{type(instance).__name__} unpickles what it is sent, and the actor was started to take messages "
                "from anybody: start a new one"
            )
        object.__setattr__(instance, "_place", (self.rt, self.pid))
        options = instance._options
        said = instance._is_async and options is not Actor._options
        info = self.rt.info(self.pid) if options.blocking else None
        if info is not None and info.runs_on != "blocking":
            raise MyrmidonError(
                f"{type(instance).__name__} blocks, and the actor was not started with blocking=True: start a new one"
            )
        self.rt._upgrade_actor(
            self.pid,
            host,
            host.handler(),
            budget=options.budget if said else None,
            concurrency=options.concurrency if said else None,
            loop=options.loop if instance._is_async else None,
        )
        return ActorRef(self.rt, self.pid, type(instance), self.timeout)

    @property
    def is_alive(self) -> bool:
        """Whether the actor lives."""
        return self.rt.is_alive(self.pid)

    def stop(self) -> bool:
        """Asks the actor to end behind the calls made so far. Returns whether it was alive."""
        return self.rt.stop(self.pid)

    def join(self, timeout: float | None = None) -> ExitReason:
        """Waits until the actor has ended; see ``Runtime.join``."""
        return self.rt.join(self.pid, timeout)

    async def join_py(self, timeout: float | None = None) -> ExitReason:
        """As ``join``, without blocking the event loop; see ``Runtime.join_py``."""
        return await self.rt.join_py(self.pid, timeout)

    def _message(self, kind: int, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        name = getattr(method, "__name__", None)
        if name not in self._actor._methods:
            raise NoMethod(
                f"{method!r} is no public method of {self._actor.__name__}: name one, as in "
                f"call({self._actor.__name__}.method)"
            )
        if kind == CALL and self._actor._codec.trusts and not self.rt._is_trusted(self.pid):
            raise Unsupported(
                f"an answer of {self._actor.__name__} would be unpickled, and its node has not proved who it is: "
                "use a transport with certificates"
            )
        return self._actor._codec.encode([kind, name, list(args), kwargs])

    if not TYPE_CHECKING:  # To a checker there is no more than what stands here.

        def __getattr__(self, name: str) -> Any:
            text = f"an ActorRef has no attribute {name!r}"
            if name != "_actor" and name in self._actor._methods:
                text += f": write call({self._actor.__name__}.{name}, ...), call_sync or cast"
            raise AttributeError(text, name=name, obj=self)

    def __repr__(self) -> str:
        return f"<ActorRef {self._actor.__name__} {self.pid}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorRef) and self.pid == other.pid and self.rt is other.rt

    def __hash__(self) -> int:
        return hash(self.pid)


def made(actor: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
    """The object of a class actor."""
    if not callable(actor) or isinstance(actor, Actor):
        raise TypeError(f"what is started is a class, a subclass of myrmidon.Actor, not {actor!r}")
    instance = actor(*args, **kwargs)
    _check_class(instance)
    return instance


def _check_class(instance: object) -> None:
    if not isinstance(instance, Actor):
        raise TypeError(f"a class actor is a subclass of myrmidon.Actor, not {type(instance).__name__}")


def _exceptions(raises: object) -> tuple[type[Exception], ...]:
    classes = cast("tuple[object, ...]", raises) if isinstance(raises, tuple) else (raises,)
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            raise TypeError(f"raises= is a tuple of exception classes, and {each!r} is none")
    return cast("tuple[type[Exception], ...]", classes)


def checked_options(options: object) -> Options:
    if not isinstance(options, Options):
        raise TypeError(f"options are an Options(...), not {options!r}: start() takes those of the class")
    return options


def _public_methods(cls: type[Actor]) -> dict[str, Callable[..., Any]]:
    """What others may call: functions without an underscore that are not those of ``Actor`` itself."""
    own = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_") and not hasattr(Actor, name)}
    plain_functions = {name for name in own if inspect.isfunction(inspect.getattr_static(cls, name))}
    return {name: own[name] for name in plain_functions}
