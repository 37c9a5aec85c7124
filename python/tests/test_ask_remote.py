"""Asking actors of other nodes: the same calls, with a PID from `remote`."""

import asyncio
import contextlib
import threading
import traceback

import pytest
from support import eventually

from myrmidon import errors


@pytest.fixture(params=["thread", "loop"])
def ask(request):
    if request.param == "thread":
        return lambda rt, pid, data, **options: rt.ask_sync(pid, data, **options)
    return lambda rt, pid, data, **options: asyncio.run(rt.ask(pid, data, **options))


async def echo_async(message):
    await asyncio.sleep(0)
    return message[::-1]


def pull(mailbox):
    for message in mailbox:
        mailbox.reply.send(message[::-1])


@pytest.mark.parametrize("kind", ["plain", "async", "pull"])
def test_an_actor_of_another_node_answers(pair, ask, kind):
    here, there, addr = pair
    if kind == "pull":
        there.register("echo", there.spawn_with_mailbox(pull))
    else:
        there.spawn(echo_async if kind == "async" else lambda message: message[::-1], name="echo")
    pid = here.remote(addr, "echo")
    assert ask(here, pid, b"abc") == b"cba"
    assert ask(here, pid, bytearray(b"")) == b""


def test_g5_what_it_raises_comes_with_its_traceback_as_text(pair, ask):
    here, there, addr = pair

    def handler(message):
        raise LookupError(message.decode())

    there.spawn(handler, name="fails")
    with pytest.raises(errors.RemoteActorError, match="LookupError: boom") as caught:
        ask(here, here.remote(addr, "fails"), b"boom")
    assert caught.value.kind == "LookupError"
    assert "in handler" in caught.value.traceback
    shown = "".join(traceback.format_exception(caught.value))
    assert not hasattr(caught.value, "add_note") or "in handler" in shown
    assert caught.value.__reduce__()[1][1] == "LookupError"


def test_g5_the_other_outcomes_are_those_of_a_local_ask(pair, ask):
    here, there, addr = pair
    gate = threading.Event()
    there.spawn(lambda message: gate.wait(20) and None, name="slow", blocking=True)
    slow = here.remote(addr, "slow")
    with pytest.raises(errors.AskTimeout):
        ask(here, slow, b"x", timeout=0.05)
    gate.set()
    assert ask(here, slow, b"in time") == b""

    there.register("silent", there.spawn_observed_handler())
    with pytest.raises(errors.NoReply):
        ask(here, here.remote(addr, "silent"), b"x")

    ended = here.remote(addr, "slow")
    here.stop(ended)
    eventually(lambda: not here.is_alive(ended))
    with pytest.raises(errors.NoProcess):
        ask(here, ended, b"x")


def test_g5_a_question_with_very_little_time_is_answered_or_times_out(pair, ask):
    here, there, addr = pair
    there.spawn(lambda message: message, name="echo")
    echo = here.remote(addr, "echo")
    for number in range(400):
        with contextlib.suppress(errors.AskTimeout):
            assert ask(here, echo, b"x", timeout=number % 40 * 1e-5) == b"x"


def test_s38_the_end_of_the_actor_or_of_its_node_is_told_at_once(pair, ask):
    here, there, addr = pair
    begun = threading.Semaphore(0)

    async def waits(message):
        begun.release()
        await asyncio.sleep(60)

    for end, raised in ((there.kill, errors.ActorEnded), (lambda _: there.shutdown(0), errors.MyrmidonError)):
        pid = there.spawn(waits, name="waits")

        def after(end=end, pid=pid):
            begun.acquire(timeout=20)
            end(pid)

        ending = threading.Thread(target=after)
        ending.start()
        with pytest.raises(raised):
            ask(here, here.remote(addr, "waits"), b"x", timeout=None)
        ending.join()


def test_l10_large_questions_wait_for_room_on_the_way(pair):
    here, there, addr = pair
    there.spawn(lambda message: b"%d" % len(message), name="measures")
    pid = here.remote(addr, "measures")
    lengths = [(10 << 20) + number for number in range(4)]

    async def main():
        asked = (here.ask(pid, bytes(length), timeout=60) for length in lengths)
        assert await asyncio.gather(*asked) == [b"%d" % length for length in lengths]

    asyncio.run(main())


def test_many_are_answered_each_by_its_own(pair):
    here, there, addr = pair
    there.spawn(lambda message: message[::-1], name="echo")

    async def main():
        pid = await here.remote_py(addr, "echo")
        questions = [b"%05d" % number for number in range(1000)]
        answers = await asyncio.gather(*(here.ask(pid, question, timeout=60) for question in questions))
        assert answers == [question[::-1] for question in questions]

    asyncio.run(main())
