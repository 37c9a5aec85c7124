"""What actors give to code that runs elsewhere: each message is handled, whatever the bound and however it is taken."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter

import pytest
from support import Inbox, eventually, threads
from test_served_asks import in_shallow_loop

from myrmidon import Bounded, errors

SENDS = 120


async def until(condition, deadline=20.0):
    """Waits until ``condition()`` is true, while the loop goes on."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not so within {deadline} s"
        await asyncio.sleep(0.001)


async def handled_by(rt, mailbox, read, inner, budget):
    """Sends and asks an actor of the running loop, in bursts and one by one; what it has handled, and what it was sent."""
    got = []
    # Where nobody waits for an answer, each second message is picked before the one in front of it.
    first = 0 if inner else 1

    async def serial(message):
        got.append(message)
        if len(got) % 7 == 0:
            await asyncio.sleep(0)
        return message

    def answer(mailbox, message):
        got.append(message)
        if mailbox.reply is not None:
            mailbox.reply.send(message)

    async def pulled(mailbox):
        async for message in mailbox:
            answer(mailbox, message)

    async def shared(mailbox):
        async def worker():
            with contextlib.suppress(errors.MailboxClosed):
                while True:
                    message, reply = await mailbox.recv_with_reply()
                    await asyncio.sleep(0)
                    got.append(message)
                    if reply is not None:
                        reply.send(message)

        await asyncio.gather(*(worker() for _ in range(4)))

    async def selected(mailbox):
        with contextlib.suppress(errors.MailboxClosed):
            for number in itertools.count():
                wanted = (number + first) % 2
                answer(mailbox, await mailbox.select(lambda message, wanted=wanted: message[-1] % 2 == wanted))

    def on_thread(mailbox):
        for message in mailbox:
            answer(mailbox, message)

    def selected_on_thread(mailbox):
        with contextlib.suppress(errors.MailboxClosed):
            for number in itertools.count():
                wanted = (number + first) % 2
                answer(mailbox, mailbox.select(lambda message, wanted=wanted: message[-1] % 2 == wanted))

    def polled(mailbox):
        with contextlib.suppress(errors.MailboxClosed):
            while True:
                with contextlib.suppress(errors.Timeout):
                    answer(mailbox, mailbox.recv(timeout=0))

    if read in ("serial", "concurrent"):
        pid = rt.spawn(serial, mailbox=mailbox, budget=budget, concurrency=1 if read == "serial" else 8)
    else:
        function = {
            "pulled": pulled,
            "shared": shared,
            "selected": selected,
            "thread": on_thread,
            "selected on a thread": selected_on_thread,
            "polled": polled,
        }[read]
        pid = rt.spawn_with_mailbox(function, mailbox=mailbox)
    messages = [b"%d" % number for number in range(SENDS)]
    for number, message in enumerate(messages):
        if inner and number % 3:
            assert await rt.ask(pid, message, timeout=20) == message
            if number % 4 == 0:
                await asyncio.sleep(0)  # it waits for the next again, which is handled inside the ask
        else:
            assert rt.send(pid, message)
    rt.stop(pid)
    assert (await asyncio.to_thread(rt.join, pid, 20)).kind in ("normal", "noproc")
    return got, messages


# With the budget of the handlers among them.
READS = [("serial", 1), ("serial", 100), ("concurrent", 1), ("concurrent", 100)]
READS += [(read, 100) for read in ("pulled", "shared", "selected", "thread", "selected on a thread", "polled")]


@pytest.mark.parametrize("bound", [None, SENDS])
@pytest.mark.parametrize("inner", [True, False], ids=["asked", "sent"])
@pytest.mark.parametrize(("read", "budget"), READS)
def test_g3_g8_every_message_is_handled_and_a_stop_ends_the_actor(rt, read, budget, inner, bound):
    mailbox = None if bound is None else Bounded(bound)
    got, sent = in_shallow_loop(asyncio.wait_for(handled_by(rt, mailbox, read, inner, budget), 40))
    assert Counter(got) == Counter(sent)
    if read in ("serial", "pulled", "thread", "polled"):
        assert got == sent


def test_an_actor_with_a_bound_goes_on_after_asks_that_were_handled_on_the_spot(rt):
    async def main():
        async def echo(message):
            return message

        pid, on_the_spot = rt.spawn(echo, mailbox=Bounded(100)), 0
        for number in range(2000):
            ran = []
            asyncio.get_running_loop().call_soon(ran.append, True)
            assert await rt.ask(pid, b"%d" % number) == b"%d" % number
            on_the_spot += not ran
            if on_the_spot == 20:
                break
            # For it to wait for the next one again: who asks at once is answered in another way.
            await asyncio.sleep(0.001)
        assert on_the_spot == 20
        rt.stop(pid)
        assert (await asyncio.to_thread(rt.join, pid, 20)).kind in ("normal", "noproc")

    in_shallow_loop(main())


def test_a_handler_with_a_bound_handles_as_many_at_a_time_as_it_may_and_is_given_no_more(rt):
    async def main():
        begun, gate = [], asyncio.Event()

        async def handler(message):
            begun.append(message)
            await gate.wait()

        pid = rt.spawn(handler, concurrency=3, mailbox=Bounded(2))
        for number in range(3):
            assert rt.send(pid, b"%d" % number)
            await until(lambda number=number: len(begun) == number + 1)
        assert [rt.send(pid, b"more") for _ in range(3)] == [True, True, False]
        assert rt.mailbox_size(pid) == 2
        gate.set()
        await until(lambda: len(begun) == 5)

    asyncio.run(main())


def test_all_tasks_of_a_pull_actor_with_a_bound_that_wait_are_given_messages(rt):
    async def main():
        begun, gate = [], asyncio.Event()

        async def function(mailbox):
            async def worker():
                async for message in mailbox:
                    begun.append(message)
                    await gate.wait()

            await asyncio.gather(*(worker() for _ in range(4)))

        pid = rt.spawn_with_mailbox(function, mailbox=Bounded(10))
        rt.send_many(pid, [b"%d" % number for number in range(6)])
        await until(lambda: len(begun) == 4)
        gate.set()
        await until(lambda: len(begun) == 6)

    asyncio.run(main())


@pytest.mark.parametrize("bound", [None, 80])
def test_several_threads_receive_from_one_mailbox(rt, bound):
    got, all_wait = Inbox(), threading.Barrier(4)

    def function(mailbox):
        def reader():
            for message in mailbox:
                got.append(message)
                all_wait.wait(20)

        readers = [threading.Thread(target=reader) for _ in range(3)]
        for thread in readers:
            thread.start()
        reader()
        for thread in readers:
            thread.join()

    pid = rt.spawn_with_mailbox(function, mailbox=bound and Bounded(bound))
    for _ in range(20):
        # None goes on before each has one.
        assert rt.send_many(pid, [b"x"] * 4) == 4
    rt.stop(pid)
    assert rt.join(pid, timeout=20).kind == "normal"
    assert len(got) == 80


def test_a_function_is_called_once_whatever_comes_as_it_returns(rt):
    calls = Counter()

    def function(mailbox):
        calls[mailbox.pid] += 1
        mailbox.recv()

    before, pids = threads(), []
    for _ in range(400):
        pid = rt.spawn_with_mailbox(function)
        pids.append(pid)
        for _ in range(30):
            rt.send(pid, b"x")
        rt.join(pid, timeout=20)
    eventually(lambda: threads() <= before)  # all that were called have returned
    assert [calls[pid] for pid in pids] == [1] * len(pids)


def lost(rt, act):
    """The messages that became dead letters of ended actors when `act` was called, once there are so many as it says."""
    letters = Inbox()
    with rt.on_dead_letter(letters):
        count = act()
        eventually(lambda: len(letters) >= count)
        assert all(letter.reason == "ended" for letter in letters)
        assert rt.dead_letters()["ended"] == count == len(letters)
    return [letter.message for letter in letters]


def test_g3_what_an_async_handler_was_given_and_has_not_begun_is_dead_letters_once_it_is_killed(rt):
    begun = threading.Event()

    async def handler(message):
        begun.set()
        await asyncio.Event().wait()

    def act():
        pid = rt.spawn(handler)
        rt.send_many(pid, [b"%d" % number for number in range(10)])
        assert begun.wait(20)
        rt.kill(pid)
        return 9

    assert lost(rt, act) == [b"%d" % number for number in range(1, 10)]


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_g3_g5_what_a_function_leaves_is_dead_letters_and_who_asked_is_told(rt, kind):
    sent = threading.Event()

    def plain(mailbox):
        sent.wait(20)
        mailbox.select(prefix=b"2")

    async def asynchronous(mailbox):
        await asyncio.to_thread(sent.wait, 20)
        await mailbox.select(prefix=b"2")

    async def asks(pid):
        asked = asyncio.create_task(rt.ask(pid, b"question", timeout=20))
        await asyncio.sleep(0)
        sent.set()
        with pytest.raises((errors.ActorEnded, errors.NoReply)):
            await asked

    def act():
        pid = rt.spawn_with_mailbox(plain if kind == "thread" else asynchronous)
        rt.send_many(pid, [b"1", b"2", b"3"])
        asyncio.run(asks(pid))
        return 3

    assert lost(rt, act) == [b"1", b"3", b"question"]


@pytest.mark.parametrize("mailbox", [None, Bounded(100)], ids=["unbounded", "bounded"])
@pytest.mark.parametrize("kind", ["plain", "blocking", "async", "task", "thread"])
def test_g3_g5_a_question_that_waited_when_its_actor_ended_is_a_dead_letter_of_any_actor(rt, kind, mailbox):
    begun, ended = threading.Event(), threading.Event()

    def plain(message):
        begun.set()
        assert ended.wait(20)

    async def asynchronous(message):
        begun.set()
        await asyncio.to_thread(ended.wait, 20)

    def thread(mailbox):
        mailbox.recv()
        plain(b"")

    async def task(mailbox):
        await mailbox.recv()
        await asynchronous(b"")

    async def asks(pid):
        asked = [asyncio.create_task(rt.ask(pid, b"%d" % number, timeout=20)) for number in range(2)]
        await asyncio.sleep(0)
        rt.send(pid, b"2")
        rt.kill(pid)
        if kind in ("async", "task", "thread"):
            # It ends while its code goes on.
            eventually(lambda: not rt.is_alive(pid))
        ended.set()
        done = await asyncio.gather(*asked, return_exceptions=True)
        # A function that returns before its actor has ended drops them.
        assert [error for error in done if not isinstance(error, (errors.ActorEnded, errors.NoReply))] == []

    def act():
        if kind in ("thread", "task"):
            pid = rt.spawn_with_mailbox(thread if kind == "thread" else task, mailbox=mailbox)
        else:
            handler = asynchronous if kind == "async" else plain
            pid = rt.spawn(handler, blocking=kind == "blocking", mailbox=mailbox)
        rt.send(pid, b"first")
        assert begun.wait(20)
        asyncio.run(asks(pid))
        return 3

    # Those in the mailbox come before those that were given to the code.
    assert sorted(lost(rt, act)) == [b"0", b"1", b"2"]


def test_g5_answers_do_not_cross_where_several_tasks_receive(rt):
    async def main():
        async def function(mailbox):
            async def worker():
                with contextlib.suppress(errors.MailboxClosed):
                    while True:
                        message, reply = await mailbox.recv_with_reply(kind="ask")
                        await asyncio.sleep(0)
                        reply.send(message)

            await asyncio.gather(*(worker() for _ in range(4)))

        pid = rt.spawn_with_mailbox(function)
        questions = [b"%d" % number for number in range(40)]
        assert await asyncio.gather(*(rt.ask(pid, question, timeout=20) for question in questions)) == questions

    asyncio.run(main())


def test_g5_answers_do_not_cross_where_several_threads_receive(rt):
    def function(mailbox):
        def reader():
            with contextlib.suppress(errors.MailboxClosed):
                while True:
                    message, reply = mailbox.recv_with_reply()
                    assert (reply is None) == (message == b"no question")
                    if reply is not None:
                        reply.send(message)

        readers = [threading.Thread(target=reader) for _ in range(3)]
        for thread in readers:
            thread.start()
        for thread in readers:
            thread.join()

    async def main():
        pid = rt.spawn_with_mailbox(function)
        rt.send(pid, b"no question")
        questions = [b"%d" % number for number in range(40)]
        assert await asyncio.gather(*(rt.ask(pid, question, timeout=20) for question in questions)) == questions
        rt.stop(pid)

    asyncio.run(main())
