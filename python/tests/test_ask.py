"""Asking: one question, one outcome (G5)."""

import asyncio
import contextlib
import copy
import gc
import pickle
import sys
import threading
import traceback

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import errors


class BySync:
    """Asks from a thread."""

    def __call__(self, rt, pid, data, **options):
        return rt.ask_sync(pid, data, **options)


class ByLoop:
    """Asks from an event loop."""

    def __call__(self, rt, pid, data, **options):
        return asyncio.run(rt.ask(pid, data, **options))


@pytest.fixture(params=[BySync, ByLoop], ids=["thread", "loop"])
def ask(request):
    return request.param()


def test_the_answer_is_what_the_handler_returns(rt, ask):
    answers = {b"bytes": b"answer", b"array": bytearray(b"array"), b"view": memoryview(b"view"), b"none": None}
    pid = rt.spawn(answers.get)
    assert ask(rt, pid, b"bytes") is answers[b"bytes"]
    assert ask(rt, pid, b"array") == b"array"
    assert ask(rt, pid, b"view") == b"view"
    assert ask(rt, pid, bytearray(b"none")) == b""


def test_a_handler_gets_a_question_as_it_gets_a_message(rt, ask):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    data = b"question"
    rt.send(pid, b"before")
    assert ask(rt, pid, data) == b""
    assert inbox == [b"before", b"question"]
    assert inbox[1] is data


def test_an_answer_that_is_no_bytes_is_the_askers_error_and_not_the_actors(rt, ask):
    pid = rt.spawn(lambda message: message.decode())
    with pytest.raises(TypeError, match="answer of a handler is bytes, or None for none, not str"):
        ask(rt, pid, b"x")
    assert rt.is_alive(pid)


def test_g5_what_the_handler_raises_is_raised_by_who_asked(rt, ask):
    raised = []

    def handler(message):
        raised.append(ValueError(message.decode()))
        raise raised[0]

    pid = rt.spawn(handler)
    with pytest.raises(ValueError, match="boom") as caught:
        ask(rt, pid, b"boom")
    assert caught.value is raised[0]
    assert "in handler" in "".join(traceback.format_exception(caught.value))
    eventually(lambda: not rt.is_alive(pid))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1)], ids=repr)
def test_s39_what_would_end_the_asker_too_is_told_as_the_end_of_the_actor(rt, ask, error):
    def handler(message):
        raise error

    pid = rt.spawn(handler)
    with pytest.raises(errors.ActorEnded) as caught:
        ask(rt, pid, b"x")
    assert caught.value.reason.kind == "exception"
    assert type(error).__name__ in caught.value.reason.message


def test_g5_the_dead_answer_noproc_at_once(rt, ask):
    pid = rt.spawn(print)
    rt.stop(pid)
    rt.join(pid)
    for nobody in (pid, 0, 12345):
        with pytest.raises(errors.NoProcess):
            ask(rt, nobody, b"x")


def test_s38_the_end_of_the_actor_is_told_at_once_with_its_reason(rt, ask):
    begun, gate = threading.Event(), threading.Event()
    pid = rt.spawn(lambda message: begun.set() or gate.wait(20))
    rt.send(pid, b"busy")
    assert begun.wait(10)

    def kill():
        eventually(lambda: rt.mailbox_size(pid) == 1)
        rt.kill(pid)
        gate.set()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(errors.ActorEnded) as caught:
        ask(rt, pid, b"behind it", timeout=None)
    killer.join()
    assert caught.value.reason.kind == "killed"
    assert caught.value.__reduce__()[1][1] == caught.value.reason


def test_s38_a_timeout_and_its_late_answer_which_is_never_a_message(rt, ask):
    gate, done, seen = threading.Event(), threading.Event(), Inbox()

    def handler(message):
        gate.wait(20)
        done.set()
        return b"late"

    pid = rt.spawn(handler)
    asker = rt.spawn(seen)
    with pytest.raises(errors.AskTimeout) as caught:
        ask(rt, pid, b"x", timeout=0.02)
    assert isinstance(caught.value, (errors.Timeout, TimeoutError))
    gate.set()
    assert done.wait(10)
    assert ask(rt, pid, b"again") == b"late"
    assert ask(rt, asker, b"last") == b""
    assert seen == [b"last"]


def test_a_question_whose_time_is_up_is_not_handled(rt, ask):
    gate, seen = threading.Event(), []

    def handler(message):
        seen.append(message)
        gate.wait(20)

    pid = rt.spawn(handler)
    rt.send(pid, b"busy")
    with pytest.raises(errors.AskTimeout):
        ask(rt, pid, b"too late", timeout=0.01)
    gate.set()
    assert ask(rt, pid, b"in time") == b""
    assert seen == [b"busy", b"in time"]


def test_an_observed_actor_drops_the_question(rt, ask):
    pid = rt.spawn_observed_handler()
    taken = []

    def take():
        eventually(lambda: taken.extend(rt.get_messages(pid)) or taken)

    taker = threading.Thread(target=take)
    taker.start()
    with pytest.raises(errors.NoReply):
        ask(rt, pid, b"question", timeout=20)
    taker.join()
    assert taken == [b"question"]


def test_bad_arguments_are_refused_at_the_call(rt, ask):
    pid = rt.spawn(print)
    with pytest.raises(TypeError, match="a message is bytes"):
        ask(rt, pid, "text")
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            ask(rt, pid, b"x", timeout=timeout)
    rt.shutdown()
    with pytest.raises(errors.RuntimeClosed):
        ask(rt, pid, b"x")


def test_d6_a_handler_that_asks_holds_up_nobody(rt):
    """Each of a chain of actors asks the next and waits, on one lane."""
    last = rt.spawn(lambda message: message + b"!")
    for _ in range(30):
        last = rt.spawn(lambda message, to=last: rt.ask_sync(to, message, timeout=20))
    assert rt.ask_sync(last, b"through thirty", timeout=20) == b"through thirty!"


def test_an_actor_that_asks_itself_gets_an_error(rt):
    own = []
    own.append(rt.spawn(lambda message: rt.ask_sync(own[0], message)))
    with pytest.raises(errors.OwnActor):
        rt.ask_sync(own[0], b"x")


def test_g5_shutdown_ends_what_is_asked(make_runtime, ask):
    rt, gate = make_runtime(), threading.Event()
    pid = rt.spawn(lambda message: gate.wait(20))
    rt.send(pid, b"busy")
    eventually(lambda: rt.mailbox_size(pid) == 0)

    def end():
        eventually(lambda: rt.mailbox_size(pid) == 1)
        rt.shutdown(0)
        gate.set()

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(errors.ActorEnded):
        ask(rt, pid, b"x", timeout=None)
    ending.join()


def test_many_questions_of_one_loop_are_answered_each(rt):
    pid = rt.spawn(lambda message: message[::-1])

    async def main():
        questions = [b"%05d" % number for number in range(2000)]
        return questions, await asyncio.gather(*(rt.ask(pid, question) for question in questions))

    questions, answers = asyncio.run(main())
    assert answers == [question[::-1] for question in questions]


def test_several_loops_in_several_threads_ask_at_once(rt):
    pid = rt.spawn(lambda message: message)
    right = Inbox()

    async def ask_on(name):
        for number in range(200):
            question = b"%d %d" % (name, number)
            right.append(await rt.ask(pid, question) == question)

    threads = [threading.Thread(target=lambda name=name: asyncio.run(ask_on(name))) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert right == [True] * 800


def test_a_cancelled_ask_is_not_handled_any_more(rt):
    gate, seen = threading.Event(), []

    def handler(message):
        seen.append(message)
        gate.wait(20)

    pid = rt.spawn(handler)
    rt.send(pid, b"busy")
    eventually(lambda: seen)

    async def main():
        task = asyncio.create_task(rt.ask(pid, b"cancelled", timeout=None))
        while rt.mailbox_size(pid) != 1:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        assert await rt.ask(pid, b"wanted") == b""

    asyncio.run(main())
    assert seen == [b"busy", b"wanted"]


def test_deadlines_of_all_lengths_pass_in_their_order(rt):
    gate = threading.Event()
    pid = rt.spawn(lambda message: gate.wait(20))
    rt.send(pid, b"busy")
    order = []

    async def one(limit):
        with pytest.raises(errors.AskTimeout):
            await rt.ask(pid, b"x", timeout=limit)
        order.append(limit)

    async def main():
        # The loop's one timer is set again for those that come with a nearer deadline.
        await asyncio.gather(*(one(limit) for limit in (0.2, 0.1, 0.15, 0.05, 0.0)))

    asyncio.run(main())
    gate.set()
    assert order == [0.0, 0.05, 0.1, 0.15, 0.2]


def test_a_loop_that_ends_before_its_answer_does_no_harm(rt):
    gate = threading.Event()
    pid = rt.spawn(lambda message: gate.wait(20) and None)

    async def main():
        task = asyncio.create_task(rt.ask(pid, b"x"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(main())
    gate.set()
    assert rt.ask_sync(pid, b"y") == rt.ask_sync(pid, b"y") == b""


def test_g5_a_question_with_very_little_time_is_answered_or_times_out(rt, ask):
    pid = rt.spawn(lambda message: message)
    for number in range(400):
        with contextlib.suppress(errors.AskTimeout):
            assert ask(rt, pid, b"x", timeout=number % 40 * 1e-5) == b"x"


def test_the_errors_of_an_ask_are_in_the_tree():
    for error in (errors.ActorEnded, errors.AskTimeout, errors.NoReply, errors.OwnActor):
        assert issubclass(error, myrmidon.MyrmidonError)


def test_a_buffer_stays_where_nobody_is_there_to_take_it(rt, ask):
    pid = rt.spawn(print)
    rt.kill(pid)
    rt.join(pid)
    buffer = myrmidon.Buffer(4)
    with pytest.raises(errors.NoProcess):
        ask(rt, pid, buffer)
    assert not rt.send_blocking(pid, buffer)
    assert not buffer.sent


def test_a_question_that_cannot_be_asked_leaves_nothing_behind_in_the_loop(rt):
    async def main():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        pid = rt.spawn_observed_handler()
        with pytest.raises(TypeError):
            await rt.ask(pid, 1, timeout=0.01)
        with pytest.raises(errors.AskTimeout):
            await rt.ask(pid, b"", timeout=0.02)
        gc.collect()
        return complaints

    assert asyncio.run(main()) == []


@pytest.mark.parametrize("timeout", [None, 3600])
def test_a_shutdown_wakes_who_asked_a_handler_that_never_returns(make_runtime, timeout):
    rt, gate, begun = make_runtime(), threading.Event(), threading.Semaphore(0)

    def stuck(message):
        begun.release()
        gate.wait(60)

    raised = []

    def ask(blocking):
        pid = rt.spawn(stuck, blocking=True)
        try:
            if blocking:
                rt.ask_sync(pid, b"x", timeout=timeout)
            else:
                asyncio.run(rt.ask(pid, b"x", timeout=timeout))
        except errors.ActorEnded as error:
            raised.append(error.reason.kind)

    askers = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(4)]
    for asker in askers:
        asker.start()
    try:
        for _ in askers:
            assert begun.acquire(timeout=20)
        rt.shutdown(0.01)
        for asker in askers:
            asker.join(20)
        assert raised == ["killed"] * 4
    finally:
        gate.set()


@pytest.mark.parametrize("timeout", [None, 3600])
def test_asks_that_were_answered_are_not_kept(rt, timeout):
    def promises():
        gc.collect()
        return sum(type(thing).__name__ == "Promise" for thing in gc.get_objects())

    # Blocking, so that the answer is never there at once.
    pid = rt.spawn(lambda message: message, blocking=True)

    async def main():
        for _ in range(1000):
            assert await rt.ask(pid, b"x", timeout=timeout) == b"x"

    before = promises()
    asyncio.run(main())
    assert promises() < before + 10


def test_an_actor_that_answers_with_a_coroutine_is_told_what_to_do(rt):
    async def answer(message):
        return message

    pid = rt.spawn(lambda message: answer(message))
    with pytest.raises(TypeError, match="make what is spawned an async def"):
        rt.ask_sync(pid, b"x")
    assert rt.is_alive(pid)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_the_end_of_an_actor_travels_between_processes(rt, copied):
    pid = rt.spawn(lambda message: sys.exit(3))
    with pytest.raises(errors.ActorEnded) as raised:
        rt.ask_sync(pid, b"x")
    other = copied(raised.value)
    assert str(other) == str(raised.value)
    assert other.reason == raised.value.reason
    assert (other.reason.kind, other.reason.message) == ("exception", "SystemExit: 3")
    assert "SystemExit" in other.reason.traceback
