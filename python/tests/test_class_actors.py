"""Class actors: calls, casts, hooks, errors, upgrades, and what others can do to them."""

import asyncio
import copy
import dataclasses
import functools
import logging
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import Actor, ActorRef, Bounded, Child, Options, Runtime, codec, one_for_one
from myrmidon.errors import ActorEnded, AskTimeout, CodecError, MyrmidonError, NoMethod, NoProcess, RegisterError


class Overdrawn(Exception):
    pass


class Account(Actor, raises=(Overdrawn,)):
    kind = "account"

    def __init__(self, balance: int = 0) -> None:
        self.balance = balance
        self.told: list[object] = []

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def withdraw(self, amount: int, *, limit: int = 0) -> int:
        if self.balance - amount < limit:
            raise Overdrawn(amount)
        self.balance -= amount
        return self.balance

    def burn(self) -> None:
        raise RuntimeError("fire")

    def confuse(self) -> int:
        return len(self.balance)  # type: ignore[arg-type]

    def where(self) -> tuple[int, bool]:
        return self.pid, self.ref == ActorRef(self.rt, self.pid, Account)

    def leak(self) -> object:
        return self

    def half_a_character(self) -> str:
        return "\ud800"

    def same(self, value: Any) -> Any:
        return value

    def history(self) -> list[Any]:
        return self.told

    def exited(self, event: myrmidon.PySystemMessage) -> None:
        self.told.append([event.target_pid, event.reason])

    def _secret(self) -> None:
        raise AssertionError("nobody can call this")

    @property
    def property(self) -> int:
        return self.balance

    @staticmethod
    def static() -> None: ...


def test_calls_and_casts_are_handled_in_their_order(rt: Runtime) -> None:
    account = rt.start(Account, 10)
    assert account.cast(Account.deposit, 5)
    assert account.call_sync(Account.withdraw, 3, limit=1) == 12
    assert account.call_sync(Account.where) == (account.pid, True)
    assert repr(account) == f"<ActorRef Account {account.pid}>"


def test_calls_are_awaited(rt: Runtime) -> None:
    async def main() -> None:
        account = rt.start(Account)
        await asyncio.gather(*(account.call(Account.deposit, 1) for _ in range(100)))
        assert await account.call(Account.deposit, 0) == 100
        with pytest.raises(Overdrawn):
            await account.call(Account.withdraw, 101)

    asyncio.run(main())


def test_calls_of_a_subclass_go_to_its_own_method(rt: Runtime) -> None:
    class Doubling(Account):
        def deposit(self, amount: int) -> int:
            return super().deposit(2 * amount)

    account: ActorRef[Account] = rt.start(Doubling)
    assert account.call_sync(Account.deposit, 3) == 6
    assert rt.start(Doubling).call_sync(Doubling.withdraw, -1) == 1


def test_arguments_and_results_are_copies(rt: Runtime) -> None:
    account = rt.start(Account)
    value = {"list": [1, (2, {3})], "bytes": b"x"}
    back = account.call_sync(Account.same, value)
    assert back == value and back is not value


def test_exceptions_of_the_interface_reach_the_caller_and_the_actor_lives(rt: Runtime) -> None:
    account = rt.start(Account, 5)
    error = Overdrawn(9)
    with pytest.raises(Overdrawn) as raised:
        account.call_sync(Account.withdraw, 9)
    assert raised.value.args == error.args
    assert "in withdraw" in "".join(traceback.format_exception(raised.value))
    account.cast(Account.withdraw, 9)
    assert account.call_sync(Account.deposit, 0) == 5


def test_other_exceptions_end_the_actor_and_reach_the_caller(rt: Runtime) -> None:
    account = rt.start(Account)
    with pytest.raises(RuntimeError, match="fire"):
        account.call_sync(Account.burn)
    assert account.join(10).kind in ("exception", "noproc")
    with pytest.raises(NoProcess):
        account.call_sync(Account.deposit, 1)
    assert not account.cast(Account.deposit, 1)
    assert not account.is_alive
    with pytest.raises(TypeError, match="len"):
        rt.start(Account).call_sync(Account.confuse)


def test_g13_a_call_that_does_not_fit_is_the_callers_fault(rt: Runtime) -> None:
    account = rt.start(Account, 5)
    with pytest.raises(TypeError, match="deposit"):
        account.call_sync(Account.deposit)  # type: ignore[call-arg]
    with pytest.raises(CodecError, match=r"class object does not travel: .*message\(tag=...\)"):
        account.call_sync(Account.same, object())
    with pytest.raises(CodecError, match="does not travel"):
        account.call_sync(Account.leak)
    with pytest.raises(CodecError, match="does not travel"):
        account.call_sync(Account.same, "\ud800")
    with pytest.raises(CodecError, match="does not travel"):
        account.call_sync(Account.half_a_character)
    assert account.call_sync(Account.deposit, 0) == 5


@pytest.mark.parametrize("name", ["_secret", "__init__", "exited", "property", "static", "kind", "nothing", "pid"])
def test_g13_only_public_methods_can_be_called(rt: Runtime, name: str, caplog: pytest.LogCaptureFixture) -> None:
    account = rt.start(Account, 5)
    for arguments in ([1, name, [], {}], [0, name, [], {}]):
        rt.send(account.pid, codec.encode(arguments))
    with pytest.raises(NoMethod):
        rt.ask_sync(account.pid, codec.encode([1, name, [], {}]))
    with pytest.raises(NoMethod):
        account.call_sync(getattr(Account, name, lambda self: None))
    assert account.call_sync(Account.deposit, 0) == 5
    eventually(lambda: "cannot handle" in caplog.text)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"hello", codec.encode([]), codec.encode([1, "deposit", 1, {}]), codec.encode([1, 2, 3, 4])),
        # A number that Python refuses to write out.
        codec.encode([1, 10**6000, [], {}]),
    ],
)
def test_g13_other_messages_do_no_harm(rt: Runtime, data: bytes) -> None:
    account = rt.start(Account, 5)
    rt.send(account.pid, data)
    with pytest.raises(MyrmidonError):
        rt.ask_sync(account.pid, data)
    assert account.call_sync(Account.deposit, 0) == 5


def test_hooks_are_called_in_the_actor(rt: Runtime) -> None:
    calls: list[Any] = []

    class Hooked(Actor):
        def __init__(self) -> None:
            calls.append(("init", threading.current_thread() is threading.main_thread()))
            with pytest.raises(MyrmidonError):
                _ = self.pid

        def started(self) -> None:
            calls.append(("started", self.pid, threading.current_thread() is threading.main_thread()))

        def stopped(self, reason: myrmidon.ExitReason) -> None:
            calls.append(("stopped", reason.kind))

    hooked = rt.start(Hooked)
    hooked.stop()
    hooked.join(10)
    assert calls == [("init", True), ("started", hooked.pid, False), ("stopped", "normal")]


def test_a_hook_that_raises_at_the_start_ends_the_actor(rt: Runtime) -> None:
    class Broken(Actor):
        def started(self) -> None:
            raise OSError("no disk")

        def use(self) -> None: ...

    broken = rt.start(Broken)
    with pytest.raises((ActorEnded, NoProcess)):
        broken.call_sync(Broken.use)


def test_a_constructor_that_raises_does_so_at_once(rt: Runtime) -> None:
    with pytest.raises(TypeError):
        rt.start(Account, 1, 2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="subclass of myrmidon.Actor"):
        rt.start(dict)  # type: ignore[type-var]
    assert rt.actors() == []


def test_exits_come_to_the_hook(rt: Runtime) -> None:
    account = rt.start_with(Options(trap_exit=True), Account)
    friend, other = rt.spawn(print), rt.spawn(print)
    rt.link(account.pid, friend)
    rt.monitor(account.pid, other)
    rt.kill(friend)
    rt.stop(other)
    eventually(lambda: len(account.call_sync(Account.history)) == 2)
    assert sorted(account.call_sync(Account.history)) == sorted([[friend, "killed"], [other, "normal"]])


def test_options_are_those_of_the_class_or_of_the_start(rt: Runtime) -> None:
    class Named(Actor, options=Options(name="named", priority="high", mailbox=Bounded(7))):
        def hello(self) -> str:
            return "hello"

    named = rt.start(Named)
    assert rt.whereis("named") == named.pid
    info = rt.info(named.pid)
    assert info is not None and (info.priority, info.mailbox_capacity) == ("high", 7)
    with pytest.raises(RegisterError):
        rt.start(Named)
    other = rt.start_with(Options(name="other", blocking=True), Named)
    info = rt.info(other.pid)
    assert info is not None and info.runs_on == "blocking"
    found = rt.whereis("other")
    assert found is not None and ActorRef(rt, found, Named).call_sync(Named.hello) == "hello"


def test_an_upgrade_takes_over_the_state_behind_earlier_calls(rt: Runtime) -> None:
    class Second(Actor):
        def __init__(self) -> None:
            self.cents = 0

        def upgrade(self, old: Any, version: int) -> None:
            assert isinstance(old, Account) and version == 1
            self.cents = old.balance * 100

        def deposit(self, amount: int) -> int:
            self.cents += amount
            return self.cents

    account = rt.start(Account, 1)
    account.cast(Account.deposit, 1)
    second = account.upgrade(Second)
    assert second.pid == account.pid
    assert second.call_sync(Second.deposit, 5) == 205
    assert rt.version(second.pid) == 2
    rt.rollback(second.pid)
    assert account.call_sync(Account.deposit, 0) == 2


def test_s40_an_upgrade_that_fails_keeps_the_old_object(rt: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Actor):
        def upgrade(self, old: Any, version: int) -> None:
            raise KeyError("nothing to take over")

        def deposit(self, amount: int) -> int:
            return -1

    account = rt.start(Account, 1)
    with caplog.at_level(logging.WARNING, "myrmidon"):
        account.upgrade(Failing)
        assert account.call_sync(Account.deposit, 1) == 2
        eventually(lambda: "nothing to take over" in caplog.text)
    # The traceback is shown below, not in the line.
    first, *below = caplog.records[-1].getMessage().splitlines()
    assert first.endswith("version 1 goes on: exception: KeyError: 'nothing to take over'")
    assert all(line.startswith("    ") for line in below) and "in upgrade" in "".join(below)
    # And it leaves no trace in the versions.
    info = rt.info(account.pid)
    assert info is not None and (rt.version(account.pid), info.version, rt.bonds(account.pid).version) == (1, 1, 1)
    with pytest.raises(myrmidon.errors.NoHistory):
        rt.rollback(account.pid)
    assert account.upgrade(Account) is not None
    account.call_sync(Account.deposit, 0)
    assert rt.version(account.pid) == rt.bonds(account.pid).version == 2


def test_timers_call_methods(rt: Runtime) -> None:
    account = rt.start(Account)
    account.cast_after(0.01, Account.deposit, 1)
    timer = account.cast_interval(0.01, Account.deposit, 10)
    eventually(lambda: account.call_sync(Account.deposit, 0) >= 21)
    assert rt.cancel_timer(timer)


def test_a_call_has_the_time_of_its_reference(rt: Runtime) -> None:
    gate = threading.Event()

    class Slow(Actor, options=Options(blocking=True)):
        def wait(self) -> bool:
            return gate.wait(10)

    slow = rt.start(Slow)
    with pytest.raises(AskTimeout):
        slow.with_timeout(0.02).call_sync(Slow.wait)
    gate.set()
    assert slow.with_timeout(None).call_sync(Slow.wait)


def test_class_actors_are_supervised(rt: Runtime) -> None:
    spec = one_for_one(
        [Child.of(Account, 7).but(options=Options(name="account")), Child.of(Account).but(id="other")],
        max_restarts=5,
    )
    supervisor = rt.supervise(spec)
    assert [child.id for child in supervisor.children()] == ["Account", "other"]

    def account() -> ActorRef[Account]:
        pid = eventually(lambda: rt.whereis("account"))
        assert isinstance(pid, int)
        return ActorRef(rt, pid, Account)

    first = account()
    first.call_sync(Account.deposit, 1)
    with pytest.raises(RuntimeError):
        first.call_sync(Account.burn)
    eventually(lambda: rt.whereis("account") not in (None, first.pid))
    assert account().call_sync(Account.deposit, 0) == 7


def test_s11_a_transient_actor_that_stops_itself_at_its_start_stays_down(rt: Runtime) -> None:
    starts = Inbox()

    class Once(Actor):
        def started(self) -> None:
            starts.append(self.pid)
            self.rt.stop(self.pid)

    supervisor = rt.supervise(one_for_one([Child.of(Once).but(restart="transient")]))
    eventually(lambda: [child.pid for child in supervisor.children()] == [None])
    assert len(starts) == 1


def test_pickle_is_a_choice_of_the_class(rt: Runtime) -> None:
    class Anything(Actor, codec="pickle"):
        def same(self, value: Any) -> Any:
            return value

    anything = rt.start(Anything)
    assert anything.call_sync(Anything.same, complex(1, 2)) == complex(1, 2)
    assert anything.call_sync(Anything.same, range(3)) == range(3)
    with pytest.raises(CodecError, match="pickled"):
        anything.call_sync(Anything.same, lambda: None)
    rt.send(anything.pid, b"no pickle")
    assert anything.call_sync(Anything.same, 1) == 1


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("import sys; sys.myrmidon_sprung = True",)


def sprung() -> bool:
    return hasattr(sys, "myrmidon_sprung")


class Trusting(Actor, codec="pickle"):
    def take(self, value: Any) -> None:
        pass


def test_g13_only_nodes_that_prove_who_they_are_have_something_unpickled(
    transport: str, pair: tuple[Runtime, Runtime, str]
) -> None:
    here, there, addr = pair
    sys.__dict__.pop("myrmidon_sprung", None)
    trusting = there.start(Trusting)
    here.send_remote(addr, trusting.pid, pickle.dumps([0, "take", [Trap()], {}]))
    if transport != "tcp":  # Both ends have certificates.
        eventually(sprung)
        assert there.dead_letters()["unreadable"] == 0
    else:
        eventually(lambda: there.dead_letters()["unreadable"] == 1)
        trusting.call_sync(Trusting.take, 1)
        assert not sprung()


def test_g13_an_upgrade_does_not_make_an_actor_unpickle_what_anybody_sends(rt: Runtime) -> None:
    with pytest.raises(MyrmidonError, match="start a new one"):
        rt.start(Account).upgrade(Trusting)


def test_g13_an_upgrade_looks_at_the_actor_and_not_at_what_a_reference_says(rt: Runtime) -> None:
    pid = rt.spawn(print)
    with pytest.raises(MyrmidonError, match="start a new one"):
        ActorRef(rt, pid, Trusting).upgrade(Trusting)


def test_g13_what_is_redirected_is_not_unpickled(rt: Runtime, make_runtime: Callable[[], Runtime]) -> None:
    sys.__dict__.pop("myrmidon_sprung", None)
    there, addr, gate = make_runtime(), rt.listen("127.0.0.1:0"), threading.Event()
    trusting = rt.start(Trusting)
    front = rt.spawn(lambda message: gate.wait(20), blocking=True, mailbox=Bounded(1, "redirect", trusting.pid))
    for _ in range(10):
        there.send_remote(addr, front, pickle.dumps([0, "take", [Trap()], {}]))
    eventually(lambda: rt.dead_letters()["full"] >= 8)
    gate.set()
    trusting.call_sync(Trusting.take, 1)
    assert not sprung()


def test_references_are_equal_where_they_name_the_same_actor(rt: Runtime) -> None:
    account = rt.start(Account)
    assert account == ActorRef(rt, account.pid, Account) == account.with_timeout(1)
    assert len({account, ActorRef(rt, account.pid, Account)}) == 1
    assert account != rt.start(Account)


def test_a_reference_whose_methods_are_called_as_those_of_the_object_says_how(rt: Runtime) -> None:
    account: Any = rt.start(Account)
    with pytest.raises(AttributeError, match=r"no attribute 'deposit': write call\(Account.deposit, ...\)"):
        account.deposit(5)
    with pytest.raises(AttributeError, match=r"no attribute 'balance'$"):
        _ = account.balance
    assert copy.copy(account) == account


def test_what_a_sender_can_have_logged_is_short(rt: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    account = rt.start(Account)
    tag = b"t" * 60_000
    # An object of a class that nobody has registered: extension type 1 with its tag and no fields.
    body = b"\xda" + len(tag).to_bytes(2, "big") + tag + b"\x80"
    rt.send(account.pid, b"\xc9" + len(body).to_bytes(4, "big") + b"\x01" + body)
    eventually(lambda: "cannot handle" in caplog.text)
    assert "under the tag" in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 1000


def test_l27_what_cannot_be_handled_is_logged_ten_times_a_second(
    rt: Runtime, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("myrmidon._host.time", SimpleNamespace(monotonic=lambda: now))
    account = rt.start(Account)

    def logged(number: int) -> list[str]:
        caplog.clear()
        rt.send_many(account.pid, [b"garbage\nforged"] * number)
        account.call_sync(Account.deposit, 0)
        rt._settle(10.0)
        return [record.getMessage() for record in caplog.records]

    assert len(logged(1000)) == 10
    now += 1.0
    first, second = logged(2)
    assert "(990 more before it)" in first and "more before it" not in second
    assert all("\n" not in line for line in (first, second))


def test_a_log_handler_that_is_slow_holds_up_no_other_actor(rt: Runtime) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            begun.set()
            may_end.wait(10)

    handler, logger = Slow(), logging.getLogger("myrmidon.actor")
    logger.addHandler(handler)
    try:
        account, other = rt.start(Account), rt.start(Account, 7)
        rt.send(account.pid, b"garbage")
        assert begun.wait(10)
        assert other.call_sync(Account.deposit, 0) == 7
        assert account.call_sync(Account.deposit, 1) == 1
    finally:
        may_end.set()
        logger.removeHandler(handler)


def test_what_stopped_raises_is_logged(rt: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    class Careless(Actor):
        def stopped(self, reason: myrmidon.ExitReason) -> None:
            raise ValueError("not cleaned up")

    careless = rt.start(Careless)
    careless.stop()
    careless.join(10)
    eventually(lambda: "not cleaned up" in caplog.text)
    (record,) = caplog.records
    assert record.levelname == "ERROR" and record.getMessage().count("\n    ") > 2


@pytest.mark.parametrize(
    ("keywords", "names", "error"),
    [
        ({"codec": "json"}, {}, ValueError),
        ({"raises": (5,)}, {}, TypeError),
        ({"raises": BaseException}, {}, TypeError),
        ({"options": {"name": "x"}}, {}, TypeError),
        ({"name": "x"}, {}, TypeError),
        ({"nonsense": 1}, {}, TypeError),
        ({}, {"pid": 5}, TypeError),
        ({}, {"ref": lambda self: self}, TypeError),
        ({}, {"rt": None}, TypeError),
    ],
)
def test_a_class_that_makes_no_sense_is_refused(
    keywords: dict[str, Any], names: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        type("Wrong", (Actor,), names, **keywords)


def test_an_option_in_the_place_of_a_keyword_is_told_where_it_belongs() -> None:
    with pytest.raises(TypeError, match=r"options=Options\(name=\.\.\.\)"):
        type("Wrong", (Actor,), {}, name="x")


def test_one_exception_class_needs_no_tuple(rt: Runtime) -> None:
    class Picky(Actor, raises=Overdrawn):  # type: ignore[arg-type]
        def refuse(self) -> None:
            raise Overdrawn

    picky = rt.start(Picky)
    with pytest.raises(Overdrawn):
        picky.call_sync(Picky.refuse)
    assert picky.is_alive


def test_what_is_started_is_a_class(rt: Runtime) -> None:
    for wrong in (None, 5, Account()):
        with pytest.raises(TypeError, match="what is started is a class"):
            rt.start(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not int"):
        rt.start(int)  # type: ignore[type-var]
    for wrong in (None, 5):
        with pytest.raises(TypeError, match=r"Options\(\.\.\.\)"):
            rt.start_with(wrong, Account)  # type: ignore[arg-type]


def test_one_object_is_the_state_of_one_actor(rt: Runtime) -> None:
    account = Account()
    first = rt.start(lambda: account)
    with pytest.raises(MyrmidonError, match="make a new object"):
        rt.start(lambda: account)
    with pytest.raises(MyrmidonError, match="make a new object"):
        first.upgrade(lambda: account)
    assert first.call_sync(Account.deposit, 1) == 1


def test_a_class_whose_objects_cannot_be_changed_may_be_an_actor(rt: Runtime) -> None:
    @dataclasses.dataclass(frozen=True)
    class Constant(Actor):
        value: int

        def get(self) -> int:
            return self.value

    constant = rt.start(Constant, 7)
    assert constant.call_sync(Constant.get) == 7
    assert constant.upgrade(Constant, 8).call_sync(Constant.get) == 8


@pytest.mark.parametrize("kind", [2, -1, 1.0, True, "call", None, [], 2**70])
def test_g13_a_message_that_is_neither_call_nor_cast_is_refused(rt: Runtime, kind: object) -> None:
    account = rt.start(Account)
    with pytest.raises(CodecError):
        rt.ask_sync(account.pid, codec.encode([kind, "deposit", [5], {}]))
    assert account.call_sync(Account.deposit, 0) == 0


def test_a_method_whose_decorator_hides_that_it_is_async_is_named(rt: Runtime) -> None:
    def plain(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Hidden(Actor):
        @plain
        async def work(self) -> int:
            return 1

    with pytest.raises(TypeError, match=r"Hidden\.work returned a coroutine"):
        rt.start(Hidden).call_sync(Hidden.work)
