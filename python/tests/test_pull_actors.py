"""Actors that take their messages themselves, on a thread or in a task."""

import asyncio
import contextlib
import gc
import threading

import pytest
from support import Inbox, eventually, threads

import myrmidon
from myrmidon import errors


class OnThread:
    """Runs a function of a mailbox on a thread."""

    name = "thread"

    def spawn(self, rt, script, **options):
        def function(mailbox):
            generator = script(mailbox)
            try:
                step = next(generator)
                while True:
                    try:
                        value = getattr(mailbox, step[0])(*step[1:-1], **step[-1])
                    except BaseException as error:
                        step = generator.throw(error)
                    else:
                        step = generator.send(value)
            except StopIteration:
                pass

        return rt.spawn_with_mailbox(function, **options)


class InTask:
    """Runs the same script in a task of an event loop."""

    name = "task"

    def spawn(self, rt, script, **options):
        async def function(mailbox):
            generator = script(mailbox)
            try:
                step = next(generator)
                while True:
                    try:
                        value = await getattr(mailbox, step[0])(*step[1:-1], **step[-1])
                    except BaseException as error:
                        step = generator.throw(error)
                    else:
                        step = generator.send(value)
            except StopIteration:
                pass

        return rt.spawn_with_mailbox(function, **options)


def recv(**options):
    return ("recv", options)


def select(*arguments, **options):
    return ("select", *arguments, options)


@pytest.fixture(params=[OnThread(), InTask()], ids=lambda way: way.name)
def way(request):
    """A script yields what it wants received, and is the same for both kinds of function."""
    return request.param


def test_messages_come_in_order_and_as_they_were_sent(rt, way):
    got = Inbox()

    def script(mailbox):
        while True:
            got.append((yield recv()))

    pid = way.spawn(rt, script)
    messages = [b"%d" % number for number in range(1000)]
    rt.send_many(pid, messages)
    eventually(lambda: len(got) == 1000)
    assert all(one is other for one, other in zip(got, messages, strict=True))


def test_a_stop_ends_the_mailbox_behind_what_was_sent_and_waits_for_the_function(rt, way):
    got, done = Inbox(), []

    def script(mailbox):
        try:
            while True:
                got.append((yield recv()))
        except errors.MailboxClosed as error:
            assert isinstance(error, EOFError)
            done.append(len(mailbox))

    pid = way.spawn(rt, script)
    rt.send_many(pid, [b"x"] * 500)
    rt.stop(pid)
    assert rt.join(pid, timeout=20).kind == "normal"
    assert len(got) == 500
    assert done == [0]


def test_iteration_ends_with_the_mailbox(rt):
    got, ended = Inbox(), Inbox()

    def plain(mailbox):
        for message in mailbox:
            got.append(message)
        ended.append("plain")

    async def asynchronous(mailbox):
        async for message in mailbox:
            got.append(message)
        ended.append("async")

    for function in (plain, asynchronous):
        pid = rt.spawn_with_mailbox(function)
        rt.send(pid, b"one")
        rt.send(pid, b"two")
        rt.stop(pid)
        rt.join(pid, timeout=20)
    assert got == [b"one", b"two"] * 2
    assert ended == ["plain", "async"]


def test_a_function_that_lets_the_end_of_the_mailbox_pass_ends_in_good_order(rt, way):
    def script(mailbox):
        while True:
            yield recv()

    pid = way.spawn(rt, script)
    rt.send(pid, b"x")
    rt.stop(pid)
    assert rt.join(pid, timeout=20).kind == "normal"


def test_the_actor_ends_when_its_function_returns(rt, way):
    def script(mailbox):
        yield recv()

    watcher = rt.spawn_observed_handler()
    pid = way.spawn(rt, script, name="once")
    rt.monitor(watcher, pid)
    assert rt.whereis("once") == pid
    rt.send(pid, b"x")
    (end,) = eventually(lambda: rt.get_messages(watcher))
    assert (end.target_pid, end.reason) == (pid, "normal")
    assert rt.whereis("once") is None
    assert not rt.send(pid, b"y")


def test_s39_what_the_function_raises_is_the_reason(rt, way):
    def script(mailbox):
        message = yield recv()
        raise ValueError(message.decode())

    watcher = rt.spawn_observed_handler()
    pid = way.spawn(rt, script)
    rt.monitor(watcher, pid)
    rt.send(pid, b"boom")
    (end,) = eventually(lambda: rt.get_messages(watcher))
    assert end.metadata == "ValueError: boom"
    assert "in script" in end.traceback


def test_a_timeout_is_raised_and_the_mailbox_goes_on(rt, way):
    got = Inbox()

    def script(mailbox):
        with pytest.raises(errors.Timeout):
            yield recv(timeout=0.01)
        with pytest.raises(TimeoutError):
            yield recv(timeout=0)
        with pytest.raises(ValueError, match="timeout"):
            yield recv(timeout=-1)
        got.append("waiting")
        got.append((yield recv(timeout=20)))
        got.append((yield recv(timeout=None)))

    pid = way.spawn(rt, script)
    eventually(lambda: got == ["waiting"])
    rt.send(pid, b"a")
    rt.send(pid, b"b")
    eventually(lambda: got == ["waiting", b"a", b"b"])


def test_a_selective_receive_leaves_the_others_in_order(rt, way):
    got = Inbox()

    def script(mailbox):
        got.append((yield select(lambda message: message.endswith(b"5"))))
        got.append((yield select(prefix=b"1", timeout=20)))
        got.append((yield select(lambda message: int(message) > 15, prefix=b"1")))
        with pytest.raises(errors.Timeout):
            yield select(prefix=b"none", timeout=0.01)
        with pytest.raises(ZeroDivisionError):
            yield select(lambda message: 1 // 0)
        for _ in range(4):
            got.append((yield recv()))
        got.append(len(mailbox) > 0)

    pid = way.spawn(rt, script)
    rt.send_many(pid, [b"%d" % number for number in range(100)])
    eventually(lambda: len(got) == 8)
    assert got == [b"5", b"1", b"16", b"0", b"2", b"3", b"4", True]


def test_a_selective_receive_waits_for_what_it_wants(rt, way):
    got = Inbox()

    def script(mailbox):
        got.append((yield select(prefix=b"wanted")))
        got.append((yield recv()))

    pid = way.spawn(rt, script)
    for number in range(100):
        rt.send(pid, b"%d" % number)
    rt.send(pid, b"wanted")
    eventually(lambda: got == [b"wanted", b"0"])


def test_messages_are_told_apart_by_their_kind(rt, way):
    got = Inbox()
    other = rt.spawn(print)

    def script(mailbox):
        got.append((yield select(kind="ask")))
        mailbox.reply.send(b"answer")
        got.append((yield select(kind="system")).target_pid)
        got.append((yield select(kind="message")))
        with pytest.raises(ValueError, match="kind"):
            yield select(kind="other")

    pid = way.spawn(rt, script)
    rt.send(pid, b"message")
    rt.monitor(pid, other)
    rt.stop(other)
    assert rt.ask_sync(pid, b"question") == b"answer"
    eventually(lambda: len(got) == 3)
    assert got == [b"question", other, b"message"]


def test_a_reply_may_be_given_later_once_or_never(rt, way):
    kept = []

    def script(mailbox):
        message = yield recv()
        assert mailbox.reply is None
        message = yield recv()
        kept.append(mailbox.reply)
        assert mailbox.reply is kept[0]
        yield recv()  # Its reply is never taken.
        yield recv()
        kept.append(mailbox.reply)
        yield recv()

    pid = way.spawn(rt, script)
    rt.send(pid, b"no question")

    async def main():
        first = asyncio.create_task(rt.ask(pid, b"1"))
        second = asyncio.create_task(rt.ask(pid, b"2"))
        third = asyncio.create_task(rt.ask(pid, b"3"))
        with pytest.raises(errors.NoReply):
            await second
        while len(kept) < 2:
            await asyncio.sleep(0.001)
        assert not first.done() and not third.done()
        assert "Reply" in repr(kept[0])
        assert kept[0].send(b"one") is True
        assert kept[0].send(b"two") is False
        assert kept[1].fail(ValueError("no")) is True
        assert await first == b"one"
        with pytest.raises(ValueError, match="no"):
            await third
        return asyncio.create_task(rt.ask(pid, b"4", timeout=0.05))

    asyncio.run(main())
    rt.stop(pid)
    rt.join(pid, timeout=20)


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_a_receive_that_is_in_vain_leaves_the_reply_of_the_message_before(rt, way, timeout):
    def script(mailbox):
        yield recv()
        with pytest.raises(errors.Timeout):
            yield recv(timeout=timeout)
        with pytest.raises(errors.Timeout):
            yield select(prefix=b"none", timeout=timeout)
        mailbox.reply.send(b"late")
        yield recv()
        yield recv(timeout=20)  # That the one before was no answer is told when this one comes.

    pid = way.spawn(rt, script)
    assert rt.ask_sync(pid, b"x", timeout=20) == b"late"

    async def main():
        asked = asyncio.create_task(rt.ask(pid, b"y", timeout=20))
        await asyncio.sleep(0)
        assert rt.send(pid, b"another")
        with pytest.raises((errors.NoReply, errors.ActorEnded)):
            await asked

    asyncio.run(main())


def test_a_wait_without_an_end_tells_who_asked_at_once(rt, way):
    def script(mailbox):
        while True:
            yield recv()

    pid = way.spawn(rt, script)
    with pytest.raises(errors.NoReply):
        rt.ask_sync(pid, b"x", timeout=20)


def test_a_reply_that_is_dropped_says_so(rt):
    kept = []

    def function(mailbox):
        mailbox.recv()
        kept.append(mailbox.reply)
        mailbox.recv()

    pid = rt.spawn_with_mailbox(function)

    def drop():
        eventually(lambda: kept)
        kept.clear()
        gc.collect()

    threading.Thread(target=drop).start()
    with pytest.raises(errors.NoReply):
        rt.ask_sync(pid, b"x", timeout=20)


def test_s38_who_asked_a_pull_actor_that_ends_hears_of_it_at_once(rt, way):
    kept = []

    def script(mailbox):
        yield recv()
        kept.append(mailbox.reply)
        yield recv()
        raise ValueError("boom")

    pid = way.spawn(rt, script)

    def end():
        eventually(lambda: kept)
        rt.send(pid, b"end")

    threading.Thread(target=end).start()
    with pytest.raises(errors.ActorEnded, match="ValueError: boom"):
        rt.ask_sync(pid, b"x", timeout=None)


@pytest.mark.parametrize("far", [False, True])
def test_g5_s38_who_asked_a_pull_actor_that_raises_is_told_why_in_hand_or_not(rt, way, far, make_runtime):
    seen, told = [], Inbox()

    def script(mailbox):
        yield recv()
        reply = mailbox.reply
        seen.append(mailbox)
        yield select(prefix=b"go")
        assert reply
        raise ValueError("boom")

    pid = asked = way.spawn(rt, script)
    here = rt
    if far:
        rt.register("far", pid)
        here = make_runtime()
        asked = here.remote(rt.listen("127.0.0.1:0"), "far")

    def ask():
        with pytest.raises(errors.RemoteActorError if far else errors.ActorEnded) as raised:
            here.ask_sync(asked, b"x", timeout=20)
        told(str(raised.value))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: seen and len(seen[0]) == 2)
    rt.send(pid, b"go")
    for thread in threads:
        thread.join(30)
    assert [("ValueError: boom" in text) for text in told] == [True] * 3, told


def test_s38_who_asked_a_pull_actor_that_returns_is_told_that_it_ended(rt, way):
    def script(mailbox):
        yield recv()

    pid = way.spawn(rt, script)
    with pytest.raises(errors.ActorEnded, match="normal"):
        rt.ask_sync(pid, b"x", timeout=20)


def test_several_messages_are_received_at_once(rt):
    got = Inbox()

    def plain(mailbox):
        got.append(mailbox.recv_many(10))
        got.append(mailbox.recv_many(limit=2, timeout=20))
        with pytest.raises(errors.Timeout):
            while True:
                mailbox.recv_many(timeout=0.01)
        with pytest.raises(ValueError, match="limit"):
            mailbox.recv_many(0)
        got.append("end")

    async def asynchronous(mailbox):
        got.append(await mailbox.recv_many(10))
        got.append(await mailbox.recv_many(limit=2, timeout=20))
        with pytest.raises(errors.Timeout):
            while True:
                await mailbox.recv_many(timeout=0.01)
        with pytest.raises(ValueError, match="limit"):
            await mailbox.recv_many(0)
        got.append("end")

    for function in (plain, asynchronous):
        got.clear()
        pid = rt.spawn_with_mailbox(function)
        rt.send_many(pid, [b"%d" % number for number in range(30)])
        eventually(lambda: got[-1:] == ["end"])
        first, second = got[0], got[1]
        assert first[0] == b"0" and 1 <= len(first) <= 10
        assert second[0] == b"%d" % len(first) and 1 <= len(second) <= 2


def test_a_question_ends_what_is_received_at_once(rt, way):
    lists = Inbox()

    def script(mailbox):
        yield ("select", {"kind": "ask"})
        mailbox.reply.send(b"ready")
        while True:
            messages = yield ("recv_many", {})
            lists.append(messages)
            if reply := mailbox.reply:
                reply.send(messages[-1])

    pid = way.spawn(rt, script)
    rt.send(pid, b"a")
    assert rt.ask_sync(pid, b"go") == b"ready"

    async def main():
        return await asyncio.gather(*(rt.ask(pid, b"%d" % number) for number in range(20)))

    assert asyncio.run(main()) == [b"%d" % number for number in range(20)]
    assert [message for messages in lists for message in messages] == [b"a", *(b"%d" % n for n in range(20))]


def test_s41_a_kill_acts_at_once(rt):
    begun, ended = threading.Event(), Inbox()
    gate = threading.Event()

    def computes(mailbox):
        begun.set()
        gate.wait(20)
        try:
            mailbox.recv()
        except errors.MailboxClosed:
            ended.append("thread")

    def waits(mailbox):
        begun.set()
        try:
            mailbox.recv()
        except errors.MailboxClosed:
            ended.append("wait")

    async def task(mailbox):
        begun.set()
        try:
            await mailbox.recv()
        except asyncio.CancelledError:
            ended.append("task")
            raise

    for function in (computes, waits, task):
        begun.clear()
        pid = rt.spawn_with_mailbox(function)
        assert begun.wait(10)
        rt.kill(pid)
        eventually(lambda: not rt.is_alive(pid))
    gate.set()
    eventually(lambda: sorted(ended) == ["task", "thread", "wait"])


def test_exits_of_monitored_actors_are_messages(rt, way):
    got = Inbox()

    def script(mailbox):
        got.append((yield recv()))

    pid, other = way.spawn(rt, script), rt.spawn(print)
    rt.monitor(pid, other)
    rt.kill(other)
    eventually(lambda: got)
    assert (got[0].type_name, got[0].target_pid, got[0].reason) == ("EXIT", other, "killed")


def test_a_hot_swap_waits_for_the_function_and_rollback_calls_it_again(rt, way):
    got = Inbox()

    def script(mailbox):
        got.append("start")
        while True:
            got.append((yield recv()))

    pid = way.spawn(rt, script)
    rt.send(pid, b"1")
    rt.hot_swap(pid, lambda message: got.append(message + b" swapped"))
    rt.send(pid, b"2")
    rt.rollback(pid)
    rt.send(pid, b"3")
    rt.stop(pid)
    rt.join(pid, timeout=20)
    assert got == ["start", b"1", b"2 swapped", "start", b"3"]


def test_a_cancelled_receive_loses_no_message(rt):
    got = Inbox()

    async def function(mailbox):
        for _ in range(5):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(mailbox.recv(), 0.002)
        got.append("ready")
        while True:
            got.append(await mailbox.recv())

    pid = rt.spawn_with_mailbox(function)
    eventually(lambda: got == ["ready"])
    rt.send_many(pid, [b"%d" % number for number in range(100)])
    eventually(lambda: got == ["ready", *(b"%d" % number for number in range(100))])


def test_several_tasks_of_one_function_share_its_mailbox(rt):
    got, whole = Inbox(), Inbox()

    async def function(mailbox):
        async def worker():
            async for message in mailbox:
                got.append(message)
                await asyncio.sleep(0)

        async def special():
            # A worker may be faster.
            with contextlib.suppress(errors.MailboxClosed):
                whole.append(await mailbox.select(prefix=b"special"))

        await asyncio.gather(special(), *(worker() for _ in range(5)))

    pid = rt.spawn_with_mailbox(function)
    rt.send_many(pid, [b"%d" % number for number in range(200)])
    rt.send(pid, b"special")
    rt.stop(pid)
    rt.join(pid, timeout=20)
    assert sorted([*got, *whole]) == sorted([b"special", *(b"%d" % number for number in range(200))])


def test_its_pid_is_known_and_blocking_calls_work_on_its_thread(rt, way):
    got = Inbox()
    answerer = rt.spawn(lambda message: message[::-1])

    def script(mailbox):
        yield recv()
        got.append(mailbox.pid)
        got.append(myrmidon.current())
        got.append("actor %d" % mailbox.pid in repr(mailbox))
        got.append(bool(mailbox))
        if isinstance(mailbox, myrmidon.Mailbox):
            got.append(rt.ask_sync(answerer, b"ab"))
            with pytest.raises(errors.OwnActor):
                rt.ask_sync(mailbox.pid, b"x")
        got.append("end")

    pid = way.spawn(rt, script)
    rt.send(pid, b"x")
    eventually(lambda: got[-1:] == ["end"])
    assert got[:4] == [pid, pid, True, True]


def test_threads_are_bounded_and_the_bound_says_what_to_do(rt):
    def function(mailbox):
        mailbox.recv()

    pids = [rt.spawn_with_mailbox(function) for _ in range(256)]
    with pytest.raises(errors.Busy, match="async"):
        rt.spawn_with_mailbox(function)
    rt.stop(pids.pop())

    def again():
        try:
            return rt.spawn_with_mailbox(function)
        except errors.Busy:
            return None

    assert eventually(again)


def test_thousands_of_async_pull_actors_need_no_threads(rt):
    async def function(mailbox):
        async for message in mailbox:
            mailbox.reply.send(message)

    async def main():
        pids = [rt.spawn_with_mailbox(function) for _ in range(3000)]
        answers = await asyncio.gather(*(rt.ask(pid, b"%d" % pid, timeout=60) for pid in pids))
        assert answers == [b"%d" % pid for pid in pids]
        return threads() - before

    before = threads()
    assert asyncio.run(main()) < 20


def test_a_loop_that_ends_takes_its_pull_actors_with_it(rt):
    async def main():
        begun = asyncio.Event()

        async def function(mailbox):
            begun.set()
            await mailbox.recv()

        pid = rt.spawn_with_mailbox(function)
        await begun.wait()
        return pid

    pid = asyncio.run(main())
    eventually(lambda: not rt.is_alive(pid))


def test_shutdown_ends_pull_actors_and_their_threads(make_runtime, way):
    rt = make_runtime()
    begun, ended = Inbox(), Inbox()

    def script(mailbox):
        begun.append("begin")
        try:
            yield recv()
        finally:
            ended.append("end")

    before = threads()
    for _ in range(10):
        way.spawn(rt, script)
    eventually(lambda: len(begun) == 10)  # who has not begun when the end comes never does
    rt.shutdown()
    eventually(lambda: len(ended) == 10)
    eventually(lambda: threads() <= before)


def test_what_no_receive_can_take_is_refused_at_once(rt, way):
    got = Inbox()

    def script(mailbox):
        for call in (select(3), ("recv_with_reply", 3, {})):
            with pytest.raises(TypeError, match="predicate"):
                yield call
        for limit in (1.5, "2", None):
            with pytest.raises(TypeError):
                yield ("recv_many", {"limit": limit})
        got.append("end")

    way.spawn(rt, script)
    eventually(lambda: got == ["end"])


def test_what_cannot_be_called_is_refused(rt):
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(TypeError):
        rt.spawn_with_mailbox(None)
    with pytest.raises(TypeError, match="loop"):
        rt.spawn_with_mailbox(print, loop=loop)
    rt.spawn(print, name="taken")
    with pytest.raises(errors.RegisterError):
        rt.spawn_with_mailbox(lambda mailbox: mailbox.recv(), name="taken")


@pytest.mark.parametrize("policy", ["reject", "drop_new", "drop_old"])
def test_a_bounded_mailbox_gives_nothing_before_it_is_wanted(rt, way, policy):
    got = Inbox()
    gate = threading.Event()

    def script(mailbox):
        got.append((yield recv()))
        while not gate.is_set():
            with contextlib.suppress(errors.Timeout):
                yield select(lambda message: False, timeout=0.001)
        while True:
            got.append((yield recv()))

    pid = way.spawn(rt, script, mailbox=myrmidon.Bounded(2, policy=policy))
    rt.send(pid, b"first")
    eventually(lambda: got == [b"first"])
    gate.set()
    eventually(lambda: rt.mailbox_size(pid) == 0)
    rt.send(pid, b"last")
    eventually(lambda: got[-1] == b"last")


def test_a_bounded_mailbox_of_a_busy_pull_actor_holds_so_many(rt, way):
    got, gate = Inbox(), threading.Event()

    def script(mailbox):
        got.append((yield recv()))
        gate.wait(20)
        while True:
            got.append((yield recv()))

    pid = way.spawn(rt, script, mailbox=myrmidon.Bounded(2))
    rt.send(pid, b"taken")
    eventually(lambda: got == [b"taken"])
    sent = [rt.send(pid, b"%d" % number) for number in range(20)]
    gate.set()
    eventually(lambda: len(got) == 1 + sum(sent))
    # One may be on its way to the function while two wait.
    assert 2 <= sum(sent) <= 3


@pytest.mark.parametrize("by", ["recv", "select"])
def test_a_task_that_selects_misses_nothing_when_others_take_what_it_passed_over(rt, by):
    picked = Inbox()

    async def function(mailbox):
        async def wanted():
            picked.append(await mailbox.select(prefix=b"wanted", timeout=10))

        async def other():
            await (mailbox.recv() if by == "recv" else mailbox.select(prefix=b"other"))
            rt.send(mailbox.pid, b"wanted")

        task = asyncio.create_task(wanted())
        # The task has passed over it once nothing is left to receive.
        while len(mailbox) < 2:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        await other()
        await task

    pid = rt.spawn_with_mailbox(function)
    rt.send_many(pid, [b"other", b"another"])
    eventually(lambda: picked == [b"wanted"])
