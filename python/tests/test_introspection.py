"""Looking at actors, names and lost messages; mailbox options and exit signals."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import Bounded, Runtime, errors
from myrmidon.errors import Busy, NoProcess, Timeout, Unsupported


class Held:
    """A handler that waits at each message until it is let go; it keeps what it got."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.got = Inbox()
        self.begun = threading.Event()

    def __call__(self, message: object) -> None:
        self.begun.set()
        self.gate.wait(20)
        self.got(message)


def held(rt: Runtime, mailbox: Bounded | None = None) -> tuple[int, Held]:
    """An actor that is held at its first message, on a thread of its own."""
    handler = Held()
    pid = rt.spawn(handler, blocking=True, mailbox=mailbox)
    rt.send(pid, b"first")
    handler.begun.wait(10)
    return pid, handler


def test_an_actor_can_be_looked_at(rt: Runtime) -> None:
    pid, handler = held(rt, Bounded(3))
    rt.register("/svc/pay/1", pid)
    rt.send(pid, b"second")
    rt.hot_swap(pid, handler)
    info = rt.info(pid)
    assert info is not None
    assert (info.pid, info.names, info.mailbox_size, info.mailbox_capacity) == (pid, ["/svc/pay/1"], 1, 3)
    assert (info.version, info.priority, info.runs_on) == (2, "normal", "blocking")
    assert (info.idle, info.supervised) == (False, False)
    assert str(pid) in repr(info) and "/svc/pay/1" in repr(info)
    assert info == info and info != rt.info(rt.spawn(print))
    handler.gate.set()
    eventually(lambda: (now := rt.info(pid)) is not None and now.idle)
    rt.kill(pid)
    rt.join(pid)
    assert rt.info(pid) is None
    assert rt.info(0) is None


def test_actors_lists_the_living_and_top_the_busiest(rt: Runtime) -> None:
    pid, handler = held(rt)
    others = [rt.spawn(print, priority="low") for _ in range(3)]
    rt.send_many(pid, [b"x"] * 5)
    assert sorted(rt.actors()) == sorted([pid, *others])
    assert [(info.pid, info.mailbox_size) for info in rt.top(1)] == [(pid, 5)]
    assert {info.priority for info in rt.top()[1:]} == {"low"}
    handler.gate.set()


def test_an_actor_whose_messages_are_with_an_event_loop_or_a_thread_is_not_idle(rt: Runtime) -> None:
    begun, gate = threading.Event(), threading.Event()

    async def handler(message: bytes) -> None:
        begun.set()
        await asyncio.to_thread(gate.wait, 20)

    def pulls(mailbox: myrmidon.Mailbox) -> None:
        gate.wait(20)
        for _ in mailbox:
            pass

    pids = [rt.spawn(handler), rt.spawn_with_mailbox(pulls), rt.spawn_with_mailbox(lambda mailbox: mailbox.recv())]
    eventually(lambda: [info.idle for info in map(rt.info, pids) if info] == [True, True, True])
    rt.send(pids[0], b"x")
    assert begun.wait(20)
    rt.send(pids[1], b"x")
    eventually(lambda: rt.mailbox_size(pids[1]) == 0)
    assert [info.idle for info in map(rt.info, pids) if info] == [False, False, True]
    assert {info.pid for info in rt.top() if not info.idle} == set(pids[:2])
    gate.set()
    eventually(lambda: all(info.idle for info in rt.top()))


def test_top_goes_by_what_was_handled_and_for_how_long(rt: Runtime) -> None:
    def spins(message: bytes) -> None:
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass

    idle, many, slow = rt.spawn(print), rt.spawn(lambda message: None), rt.spawn(spins)
    rt.send_many(many, [b"x"] * 1000)
    rt.send_many(slow, [b"x"] * 3)
    eventually(lambda: all((info := rt.info(pid)) is not None and info.idle for pid in (many, slow)))
    assert [info.pid for info in rt.top(by="reductions")] == [many, slow, idle]
    assert [info.reductions for info in rt.top(2, "reductions")] == [1000, 3]
    first, second, *_ = rt.top(by="run_time")
    assert first.pid == slow and 0 < first.run_time < 10 and second.run_time < first.run_time
    assert "reductions=3 run_time=" in repr(rt.info(slow))


def test_run_time_of_a_blocking_handler_is_that_of_its_turns(rt: Runtime) -> None:
    pid = rt.spawn(lambda message: time.sleep(0.2), blocking=True)
    rt.send(pid, b"x")
    eventually(lambda: (info := rt.info(pid)) is not None and info.idle and info.run_time >= 0.2)
    assert rt.top(1, "run_time")[0].pid == pid


def test_top_within_a_time_goes_by_what_was_done_in_it(rt: Runtime) -> None:
    before, during = rt.spawn(lambda message: None), rt.spawn(lambda message: None)
    rt.send_many(before, [b"x"] * 1000)
    eventually(lambda: (info := rt.info(before)) is not None and info.idle and info.reductions == 1000)
    timer = rt.send_interval(during, 0.001, b"x")
    first, second = rt.top(by="reductions", within=0.2)
    rt.cancel_timer(timer)
    assert (first.pid, second.pid, second.reductions) == (during, before, 0)
    assert 0 < first.reductions < 1000
    asked = rt.spawn(lambda message: b"%d" % rt.top(1, "reductions", within=0.05)[0].pid)
    timer = rt.send_interval(during, 0.001, b"x")
    assert rt.ask_sync(asked, b"x") == b"%d" % during, "a handler that looks holds up nobody"
    rt.cancel_timer(timer)


def test_what_top_cannot_go_by_is_refused(rt: Runtime) -> None:
    with pytest.raises(ValueError, match="run_time"):
        rt.top(by="memory")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at one moment"):
        rt.top(within=0.1)
    with pytest.raises(ValueError, match="within"):
        rt.top(by="reductions", within=-1.0)


def test_s38_answers_that_nobody_waits_for_are_counted(rt: Runtime) -> None:
    gate, begun = threading.Event(), threading.Event()

    def late(message: bytes) -> bytes:
        begun.set()
        gate.wait(20)
        if message == b"fails":
            raise ValueError(message)
        return message

    def asked(begin: Callable[[int], object]) -> None:
        before = rt.late_replies()
        gate.clear()
        begun.clear()
        pid = rt.spawn(late, blocking=True)
        begin(pid)
        assert begun.is_set(), "a question whose time is up before is not handled"
        assert rt.late_replies() == before
        gate.set()
        eventually(lambda: rt.late_replies() == before + 1)
        assert rt.dead_letters()["noproc"] == 0

    def times_out(pid: int) -> None:
        with pytest.raises(errors.AskTimeout):
            rt.ask_sync(pid, b"x", timeout=1)

    def fails(pid: int) -> None:
        with pytest.raises(errors.AskTimeout):
            rt.ask_sync(pid, b"fails", timeout=1)

    def times_out_in_a_loop(pid: int) -> None:
        with pytest.raises(errors.AskTimeout):
            asyncio.run(awaited(rt.ask(pid, b"x", timeout=1)))

    def is_cancelled(pid: int) -> None:
        async def main() -> None:
            task = asyncio.create_task(awaited(rt.ask(pid, b"x", timeout=None)))
            while not begun.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())

    def is_closed(pid: int) -> None:
        async def main() -> None:
            asking = rt.ask(pid, b"x", timeout=None)
            asking.send(None)
            while not begun.is_set():
                await asyncio.sleep(0.001)
            asking.close()

        asyncio.run(main())

    def is_thrown_at(pid: int) -> None:
        async def main() -> None:
            asking = rt.ask(pid, b"x", timeout=None)
            asking.send(None)
            while not begun.is_set():
                await asyncio.sleep(0.001)
            asking.throw(KeyError("x"))

        with pytest.raises(KeyError):
            asyncio.run(main())

    ways = (times_out, fails, times_out_in_a_loop, is_cancelled, is_closed, is_thrown_at)
    for begin in ways:
        asked(begin)
    assert rt.late_replies() == len(ways)


async def awaited(answer: Awaitable[bytes]) -> bytes:
    return await answer


def test_s38_a_pull_actor_that_answers_too_late_is_told_and_it_is_counted(rt: Runtime) -> None:
    gate, begun, told = threading.Event(), threading.Event(), Inbox()

    def answers(mailbox: myrmidon.Mailbox) -> None:
        for message in mailbox:
            begun.set()
            gate.wait(20)
            assert mailbox.reply is not None, "it is there as often as it is looked for"
            told(mailbox.reply.send(message))

    pid = rt.spawn_with_mailbox(answers)
    with pytest.raises(errors.AskTimeout):
        rt.ask_sync(pid, b"x", timeout=1)
    assert begun.is_set(), "a question whose time is up before is not handled"
    gate.set()
    eventually(lambda: told == [False])
    assert rt.late_replies() == 1
    assert rt.ask_sync(pid, b"y") == b"y"
    eventually(lambda: told == [False, True])
    assert rt.late_replies() == 1


def test_s41_bonds_are_told_before_the_next_message(rt: Runtime) -> None:
    pid, handler = held(rt)
    friend = rt.spawn(print)
    rt.link(pid, friend)
    rt.monitor(pid, friend)
    rt.monitor(friend, pid)
    rt.trap_exit(pid, True)
    with pytest.raises(Timeout):
        rt.bonds(pid, timeout=0.01)
    handler.gate.set()
    bonds = rt.bonds(pid)
    assert (bonds.links, bonds.monitors, bonds.monitored_by) == ([friend], [friend], [friend])
    assert (bonds.trap_exit, bonds.version, bonds.history) == (True, 1, [])
    rt.hot_swap(pid, print)
    # The question overtakes a swap that is not done yet.
    eventually(lambda: rt.bonds(pid).history == [1])
    assert "links" in repr(bonds)
    rt.kill(friend)
    rt.join(friend)
    with pytest.raises(NoProcess):
        rt.bonds(friend)


def test_names_are_paths_whose_children_can_be_listed(rt: Runtime) -> None:
    names = ["/svc/pay/2", "/svc/pay/1", "/svc/pay/1/log", "/svc/payment", "other"]
    pids = {name: rt.spawn(print, name=name) for name in names}
    assert rt.names_below("/svc/pay") == {name: pids[name] for name in ("/svc/pay/1", "/svc/pay/2")}
    assert list(rt.names("/svc/")) == ["/svc/pay/1", "/svc/pay/1/log", "/svc/pay/2", "/svc/payment"]
    assert rt.names() == pids
    rt.stop(pids["/svc/pay/1"])
    rt.join(pids["/svc/pay/1"])
    assert list(rt.names_below("/svc/pay")) == ["/svc/pay/2"]


def test_a_mailbox_that_rejects_says_so(rt: Runtime) -> None:
    pid, handler = held(rt, Bounded(1))
    assert rt.send(pid, b"a")
    assert not rt.send(pid, b"b")
    with pytest.raises(Busy):
        rt.send_blocking(pid, b"b", timeout=5)
    handler.gate.set()
    eventually(lambda: handler.got == [b"first", b"a"])


def test_a_mailbox_that_drops_makes_dead_letters(rt: Runtime) -> None:
    letters: list[tuple[int, str, bytes | None]] = []
    with rt.on_dead_letter(lambda letter: letters.append((letter.target_pid, letter.reason, letter.message))):
        new, new_handler = held(rt, Bounded(1, policy="drop_new"))
        old, old_handler = held(rt, Bounded(1, policy="drop_old"))
        for pid in (new, old):
            assert rt.send(pid, b"a") and rt.send(pid, b"b")
        eventually(lambda: len(letters) == 2)
    assert letters == [(new, "full", b"b"), (old, "displaced", b"a")]
    assert rt.dead_letters() == {"noproc": 0, "ended": 0, "full": 1, "displaced": 1, "unreadable": 0}
    rt.send(new, b"c")
    new_handler.gate.set()
    old_handler.gate.set()
    eventually(lambda: new_handler.got == [b"first", b"a"] and old_handler.got == [b"first", b"b"])
    assert len(letters) == 2, "the watch has ended"


def test_a_mailbox_that_redirects_sends_elsewhere(rt: Runtime) -> None:
    overflow = Inbox()
    pid, handler = held(rt, Bounded(1, policy="redirect", redirect_to=rt.spawn(overflow)))
    for message in (b"a", b"b", b"c"):
        assert rt.send(pid, message)
    eventually(lambda: overflow == [b"b", b"c"])
    handler.gate.set()


def test_send_blocking_waits_for_room(rt: Runtime) -> None:
    pid, handler = held(rt, Bounded(1, policy="block"))
    assert rt.send_blocking(pid, b"a")
    assert not rt.send(pid, b"no room")
    with pytest.raises(Busy):
        rt.send_blocking(pid, b"no time", timeout=0.02)
    sent = Inbox()
    thread = threading.Thread(target=lambda: sent(rt.send_blocking(pid, b"b", timeout=20)))
    thread.start()
    handler.gate.set()
    thread.join(20)
    eventually(lambda: handler.got == [b"first", b"a", b"b"])
    assert sent == [True]
    rt.kill(pid)
    rt.join(pid)
    assert not rt.send_blocking(pid, b"c")
    assert not rt.send_blocking(0, b"c")


def test_send_blocking_to_oneself_does_not_wait_for_ever(rt: Runtime) -> None:
    told = Inbox()

    def selfish(message: bytes) -> None:
        try:
            for _ in range(3):
                rt.send_blocking(pid, b"again")
        except Busy as error:
            told(error)
            rt.stop(pid)

    pid = rt.spawn(selfish, mailbox=Bounded(1, policy="block"))
    rt.send(pid, b"go")
    eventually(lambda: told)


def test_messages_left_at_the_end_are_dead_letters(rt: Runtime) -> None:
    letters = Inbox()
    watch = rt.on_dead_letter(letters)
    pid, handler = held(rt)
    rt.send(pid, b"too late")
    rt.kill(pid)
    handler.gate.set()
    (letter,) = eventually(lambda: letters)  # type: ignore[misc]
    assert isinstance(letter, myrmidon.DeadLetter)
    assert (letter.target_pid, letter.reason, letter.message) == (pid, "ended", b"too late")
    assert "ended" in repr(letter)
    assert "open" in repr(watch)
    watch.close()
    assert "closed" in repr(watch)


def test_a_listener_that_raises_harms_nobody(rt: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TypeError):
        rt.on_dead_letter(1)  # type: ignore[arg-type]
    seen = Inbox()

    def listener(letter: myrmidon.DeadLetter) -> None:
        seen(letter)

    with rt.on_dead_letter(listener):
        rt.send_after(rt.spawn(print), 0.0, b"x")
        dead = rt.spawn(print)
        rt.kill(dead)
        rt.join(dead)
        rt.send_after(dead, 0.0, b"late")
        eventually(lambda: seen)


def test_options_that_make_no_sense_are_refused(rt: Runtime) -> None:
    for options, match in [
        ({"budget": 0}, "budget"),
        ({"mailbox": Bounded(0)}, "at least 1"),
        ({"mailbox": Bounded(1, policy="drop")}, "policy"),
        ({"mailbox": Bounded(1, policy="redirect")}, "redirect_to"),
        ({"mailbox": Bounded(1, redirect_to=1)}, "redirect"),
        ({"priority": "urgent"}, "priority"),
    ]:
        with pytest.raises(ValueError, match=match):
            rt.spawn(print, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        rt.spawn(print, mailbox=10)  # type: ignore[arg-type]
    assert rt.actors() == []


def test_s34_exit_signals_end_or_are_told(rt: Runtime) -> None:
    told = Inbox()
    trapping = rt.spawn(told, trap_exit=True)
    for reason in ("normal", "shutdown", "my own"):
        assert rt.exit(trapping, reason)
    eventually(lambda: len(told) == 3)
    assert [message.reason for message in told] == ["normal", "shutdown", "other"]  # type: ignore[attr-defined]
    rt.exit(trapping, "kill")
    assert rt.join(trapping, 10).kind in ("killed", "noproc")
    plain = rt.spawn(print)
    rt.exit(plain, "normal")
    assert rt.is_alive(plain)
    rt.exit(plain)
    assert rt.join(plain, 10).kind in ("shutdown", "noproc")
    assert not rt.exit(plain)


def test_s34_trap_exit_can_be_changed(rt: Runtime) -> None:
    told = Inbox()
    pid, friend = rt.spawn(told), rt.spawn(print)
    rt.trap_exit(pid, True)
    rt.link(pid, friend)
    rt.kill(friend)
    eventually(lambda: told)
    assert rt.is_alive(pid)
    rt.trap_exit(pid, False)
    second = rt.spawn(print)
    rt.link(pid, second)
    rt.kill(second)
    eventually(lambda: not rt.is_alive(pid))
    assert not rt.trap_exit(pid, True)


def test_looking_costs_no_actor_its_turn(rt: Runtime) -> None:
    pid = rt.spawn(lambda message: None)
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        rt.send(pid, b"x")
        rt.info(pid)
        rt.top(3)
    rt.stop(pid)
    assert rt.join(pid, 10).kind in ("normal", "noproc")


def test_a_listener_that_blocks_holds_a_bounded_number_of_bytes_and_no_log(
    rt: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    gate, shown = threading.Event(), Inbox()

    def listener(letter: myrmidon.DeadLetter) -> None:
        gate.wait(20)
        shown(letter.message)

    with rt.on_dead_letter(listener):
        full, handler = held(rt, Bounded(1, policy="drop_new"))
        rt.send(full, b"takes the place")
        for _ in range(100):
            rt.send(full, bytes(1 << 20))
        assert rt.dead_letters()["full"] == 100
        failing = rt.spawn(lambda message: 1 / 0)
        rt.send(failing, b"")
        eventually(lambda: "ZeroDivisionError" in caplog.text)
        assert not shown
        gate.set()
        eventually(lambda: len(shown) >= 16)
        rt.send(full, b"last")
        eventually(lambda: shown[-1] == b"last")
        assert len(shown) == 17
        handler.gate.set()


def test_the_bonds_of_an_actor_of_another_node_are_refused_as_such(
    rt: Runtime, make_runtime: Callable[..., Runtime]
) -> None:
    there = make_runtime()
    there.spawn(print, name="x")
    pid = rt.remote(there.listen("127.0.0.1:0"), "x")
    with pytest.raises(Unsupported, match="another node"):
        rt.bonds(pid)


def test_a_listener_whose_code_a_call_does_not_run_is_refused(rt: Runtime) -> None:
    async def later(letter: object) -> None:
        pass

    def generator(letter: object) -> Iterator[None]:
        yield

    for listener in (later, generator):
        with pytest.raises(TypeError, match="neither an async def nor a generator"):
            rt.on_dead_letter(listener)
