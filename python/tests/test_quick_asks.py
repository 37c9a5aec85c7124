"""Asks whose answers come at once: what is waited for on the spot, and what the loop shares."""

import asyncio
import contextvars
import gc
import json
import threading

import pytest
from support import eventually, run_program, turns_during

from myrmidon import errors


def echo(message):
    return message


def test_asks_that_are_answered_on_the_spot_leave_the_loop_its_turns(rt):
    pid = rt.spawn(echo)

    async def asks():
        for number in range(3000):
            assert await rt.ask(pid, b"%d" % number) == b"%d" % number

    assert asyncio.run(turns_during(asks())) > 3


def test_a_handler_that_waits_for_the_loop_does_not_hold_it(rt):
    gate = threading.Event()

    def waits(message):
        return b"open" if gate.wait(30) else b"shut"

    quick, pid = rt.spawn(echo), rt.spawn(waits)

    async def main():
        for _ in range(100):
            await rt.ask(quick, b"")
        asked = asyncio.create_task(rt.ask(pid, b"", timeout=30))
        await asyncio.sleep(0)
        gate.set()
        return await asked

    assert asyncio.run(main()) == b"open"


def test_a_hundred_tasks_get_their_own_answers_each_in_its_context(rt):
    pid = rt.spawn(echo)
    name = contextvars.ContextVar("name", default=b"")

    async def client(number):
        name.set(b"%d" % number)
        for _ in range(20):
            assert await rt.ask(pid, b"%d" % number) == name.get() == b"%d" % number
        return number

    async def main():
        return await asyncio.gather(*(client(number) for number in range(100)))

    assert asyncio.run(main()) == list(range(100))


@pytest.mark.parametrize("in_flight", [1, 2, 50])
def test_g5_an_error_reaches_the_task_that_asked_and_no_other(rt, in_flight):
    def handler(message):
        raise ValueError(message.decode())

    async def main():
        async def client(number):
            pid = rt.spawn(handler)
            try:
                await rt.ask(pid, b"%d" % number)
            except ValueError as error:
                return str(error)

        return await asyncio.gather(*(client(number) for number in range(in_flight)))

    assert asyncio.run(main()) == [str(number) for number in range(in_flight)]


def test_g5_a_cancelled_ask_says_why_and_is_not_handled_any_more(rt):
    gate, seen = threading.Event(), []

    def handler(message):
        seen.append(message)
        gate.wait(30)
        return message

    pid = rt.spawn(handler)

    async def main():
        first = asyncio.create_task(rt.ask(pid, b"first", timeout=None))
        second = asyncio.create_task(rt.ask(pid, b"second", timeout=None))
        while not seen:
            await asyncio.sleep(0.001)
        second.cancel("for a reason")
        with pytest.raises(asyncio.CancelledError):
            await second
        assert second.cancelled()
        gate.set()
        assert await first == b"first"
        assert await rt.ask(pid, b"third") == b"third"

    asyncio.run(main())
    assert seen == [b"first", b"third"]


def test_g5_deadlines_and_timeouts_of_asyncio_end_asks_of_a_lane_that_is_held(rt):
    gate = threading.Event()
    pid = rt.spawn(lambda message: gate.wait(30))

    async def main():
        late = [rt.ask(pid, b"", timeout=0.01) for _ in range(10)]
        for outcome in await asyncio.gather(*late, return_exceptions=True):
            assert isinstance(outcome, errors.AskTimeout)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(rt.ask(pid, b"", timeout=None), 0.01)

    asyncio.run(main())
    gate.set()


def test_g5_the_end_of_the_actor_ends_all_asks_of_a_loop(rt):
    gate = threading.Event()
    holder, pid = rt.spawn(lambda message: gate.wait(30)), rt.spawn(echo)
    rt.send(holder, b"")

    async def main():
        asks = [asyncio.create_task(rt.ask(pid, b"", timeout=None)) for _ in range(10)]
        await asyncio.sleep(0)
        rt.kill(pid)
        gate.set()
        return await asyncio.gather(*asks, return_exceptions=True)

    assert {type(outcome) for outcome in asyncio.run(main())} == {errors.ActorEnded}


def test_what_ends_the_loop_leaves_the_other_answers_for_its_next_run(rt):
    gate = threading.Event()
    pid = rt.spawn(lambda message: b"" if gate.wait(30) else b"late")
    loop = asyncio.new_event_loop()
    try:

        async def client(number):
            await rt.ask(pid, b"")
            if number == 1:
                raise SystemExit(3)
            return number

        async def ask_all():
            tasks = [asyncio.create_task(client(number)) for number in range(4)]
            await asyncio.sleep(0)
            return tasks

        tasks = loop.run_until_complete(ask_all())
        gate.set()
        with pytest.raises(SystemExit):
            loop.run_forever()
        others = [tasks[number] for number in (0, 2, 3)]
        assert loop.run_until_complete(asyncio.wait_for(asyncio.gather(*others), 30)) == [0, 2, 3]
        assert isinstance(tasks[1].exception(), SystemExit)
    finally:
        loop.close()


def test_a_loop_that_is_closed_in_the_middle_of_asks_holds_up_nobody(rt):
    pid = rt.spawn(echo)
    loop = asyncio.new_event_loop()
    # Nobody is to hear of tasks that are lost with the loop: they are meant to be.
    loop.set_exception_handler(lambda loop, context: None)

    async def main():
        for _ in range(3):
            asyncio.create_task(rt.ask(pid, b""))
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    loop.close()
    gc.collect()
    assert rt.ask_sync(pid, b"from a thread") == b"from a thread"

    async def once():
        return await asyncio.gather(*(rt.ask(pid, b"x") for _ in range(3)))

    assert asyncio.run(once()) == [b"x"] * 3


def test_an_ask_of_an_async_actor_of_the_same_loop_keeps_its_place_among_messages(rt):
    seen = []

    async def handler(message):
        seen.append(message)
        return message

    async def main():
        pid = rt.spawn(handler)
        for number in range(0, 300, 3):
            rt.send(pid, b"%d" % number)
            assert await rt.ask(pid, b"%d" % (number + 1)) == b"%d" % (number + 1)
            rt.send(pid, b"%d" % (number + 2))
        await rt.ask(pid, b"300")
        rt.stop(pid)
        with pytest.raises(errors.MyrmidonError):
            await rt.ask(pid, b"late")

    asyncio.run(main())
    assert seen == [b"%d" % number for number in range(301)]


def test_async_actors_of_one_loop_ask_each_other(rt):
    async def main():
        async def last(message):
            return message + b"!"

        pids = [rt.spawn(last)]

        def passing_on(to):
            async def handler(message):
                return await rt.ask(to, message + b".")

            return handler

        for _ in range(20):
            pids.append(rt.spawn(passing_on(pids[-1])))
        return await asyncio.gather(*(rt.ask(pids[-1], b"%d" % number) for number in range(10)))

    assert asyncio.run(main()) == [b"%d" % number + b"." * 20 + b"!" for number in range(10)]


class Incomparable:
    def __eq__(self, other):
        raise ZeroDivisionError

    __hash__ = None


def test_a_promise_is_a_future_to_asyncio(rt):
    gate = threading.Event()

    def handler(message):
        gate.wait(30)
        return message

    pid = rt.spawn(handler)

    async def main():
        promise = rt.ask(pid, b"answer", None).send(None)
        assert asyncio.isfuture(promise)
        assert promise.get_loop() is asyncio.get_running_loop()
        assert repr(promise) == "<myrmidon.Promise pending>"
        called = []
        promise.add_done_callback(called.append)
        promise.add_done_callback(print)
        assert promise.remove_done_callback(print) == 1
        with pytest.raises(ZeroDivisionError):
            promise.remove_done_callback(Incomparable())
        with pytest.raises(asyncio.InvalidStateError):
            promise.result()
        gate.set()
        await promise
        assert promise.result() == b"answer"
        assert repr(promise) == "<myrmidon.Promise done>"
        assert promise.done() and not promise.cancelled() and not promise.cancel()
        promise.add_done_callback(called.append)
        await asyncio.sleep(0)
        assert called == [promise, promise]

    asyncio.run(main())


def test_nothing_is_looked_for_while_nobody_asks():
    """The threads sleep again after a burst of quick asks: an idle runtime costs nothing."""
    ran = run_program("""
        import asyncio, json, time
        import myrmidon

        async def main():
            async with myrmidon.Runtime() as rt:
                pid = rt.spawn(lambda message: message)
                for _ in range(2000):
                    await rt.ask(pid, b"")
                await asyncio.gather(*(rt.ask(pid, b"") for _ in range(100)))
                used = time.process_time()
                await asyncio.sleep(1)
                print(json.dumps(time.process_time() - used))

        asyncio.run(main())
    """)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) < 0.3


def promises():
    """How many there are, of those in no cycle."""
    gc.collect()
    return sum(type(what).__name__ == "Promise" for what in gc.get_objects())


def test_the_errors_of_asks_and_waits_leave_nothing_behind(rt):
    async def impatient(mailbox):
        for _ in range(1000):
            with pytest.raises(errors.Timeout):
                await mailbox.recv(timeout=0.00001)
        ended.set()

    async def main():
        for _ in range(1000):
            with pytest.raises(errors.AskTimeout):
                await rt.ask(stuck, b"question", timeout=0.00001)
        rt.spawn_with_mailbox(impatient, loop=asyncio.get_running_loop())
        await asyncio.to_thread(ended.wait, 60)

    ended = threading.Event()
    release = threading.Event()
    stuck = rt.spawn(lambda message: release.wait(60) and None, blocking=True)
    before = promises()
    try:
        asyncio.run(main())
    finally:
        release.set()
    assert ended.is_set()
    eventually(lambda: promises() <= before + 10)


def test_s38_a_shutdown_in_the_round_of_an_ask_ends_it(make_runtime):
    gate = threading.Event()
    rt = make_runtime()
    pid = rt.spawn(lambda message: gate.wait(30))

    async def main():
        asks = [asyncio.create_task(rt.ask(pid, b"", timeout=None)) for _ in range(3)]
        # Behind the asks, and before the loop comes by for their answers.
        asyncio.get_running_loop().call_soon(rt.shutdown, 0.1)
        return await asyncio.wait_for(asyncio.gather(*asks, return_exceptions=True), 30)

    outcomes = asyncio.run(main())
    gate.set()
    assert {type(outcome) for outcome in outcomes} == {errors.ActorEnded}
