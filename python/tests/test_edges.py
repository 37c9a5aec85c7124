"""What a process bears: each in a process of its own, with all kinds of actors in it."""

import os
import signal
import subprocess

import pytest
from support import program, run_program

# Actors of every kind, each of which does what `act` says when it is sent or asked something.
KINDS = """
    import asyncio, contextlib, gc, logging, os, sys, threading, time, weakref
    import myrmidon
    from myrmidon import errors

    def plain(rt, act):
        return rt.spawn(lambda message: act())

    def blocking(rt, act):
        return rt.spawn(lambda message: act(), blocking=True)

    def asynchronous(rt, act):
        async def handler(message):
            await asyncio.sleep(0)
            act()
        return rt.spawn(handler)

    def swapped(rt, act):
        pid = rt.spawn(print)
        rt.hot_swap(pid, lambda message: act())
        return pid

    def swapped_async(rt, act):
        async def handler(message):
            act()
        pid = rt.spawn(print)
        rt.hot_swap(pid, handler)
        return pid

    def thread(rt, act):
        def function(mailbox):
            for message in mailbox:
                act()
        return rt.spawn_with_mailbox(function)

    def task(rt, act):
        async def function(mailbox):
            async for message in mailbox:
                act()
        return rt.spawn_with_mailbox(function)

    def supervised(rt, act):
        made = []
        def factory():
            made.append(rt.spawn(lambda message: act()))
            return made[-1]
        rt.supervise_with_factory(factory(), factory, "RestartOne")
        return made[-1]

    kinds = [plain, blocking, asynchronous, swapped, swapped_async, thread, task, supervised]

    def eventually(condition, deadline=20):
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, "not in time"
            time.sleep(0.002)
        return value
"""


def run(text, deadline=60.0):
    """Runs a program with actors of every kind; it must end by itself and in good order."""
    done = run_program(KINDS.replace("\n    ", "\n") + "\n" + text.replace("\n        ", "\n"), deadline)
    assert done.returncode == 0, done.stderr
    for word in ("Fatal", "panicked", "never awaited", "Task was destroyed"):
        assert word not in done.stderr, done.stderr
    return done


def test_exit_with_ten_thousand_living_actors():
    done = run("""
        rt = myrmidon.Runtime()
        count = 0
        def act():
            global count
            count += 1
        light = [kind for kind in kinds if kind not in (thread, supervised)]
        pids = [light[number % len(light)](rt, act) for number in range(10_000)]
        pids += [thread(rt, act) for _ in range(100)]
        for pid in pids:
            rt.send(pid, b"x")
        eventually(lambda: count > 0)
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_exit_while_everybody_is_in_the_middle_of_something():
    done = run("""
        rt = myrmidon.Runtime()
        begun = threading.Semaphore(0)
        async def waits(message):
            begun.release()
            await asyncio.sleep(60)
        async def waits_for_messages(mailbox):
            begun.release()
            await mailbox.recv()
        def asks(message):
            begun.release()
            rt.ask_sync(waiting, b"x", timeout=None)
        def receives(mailbox):
            begun.release()
            mailbox.recv()
        waiting = rt.spawn(waits)
        rt.send(rt.spawn(asks), b"x")
        rt.spawn_with_mailbox(receives)
        rt.spawn_with_mailbox(waits_for_messages)
        def outside():
            begun.release()
            with contextlib.suppress(myrmidon.MyrmidonError):
                rt.ask_sync(waiting, b"x", timeout=None)
        threading.Thread(target=outside, daemon=True).start()
        for _ in range(5):
            assert begun.acquire(timeout=20)
        print("end")
    """)
    assert done.stdout.split() == ["end"]


@pytest.mark.parametrize(
    "error", ["sys.exit(3)", "raise KeyboardInterrupt", "raise ValueError('boom')", "raise GeneratorExit"]
)
def test_s39_what_an_actor_of_any_kind_raises_ends_that_actor_only(error):
    done = run(f"""
        logging.getLogger("myrmidon").setLevel(logging.CRITICAL)
        rt = myrmidon.Runtime()
        def act():
            {error}
        for kind in kinds:
            watcher = rt.spawn_observed_handler()
            pid = kind(rt, act)
            rt.monitor(watcher, pid)
            rt.send(pid, b"x")
            (end,) = eventually(lambda: rt.get_messages(watcher))
            assert end.reason == "exception" and end.traceback, (kind, end)
        with contextlib.suppress(BaseException):
            act()
        other = rt.spawn(lambda message: message)
        assert rt.ask_sync(other, b"alive") == b"alive"
        assert asyncio.run(rt.ask(other, b"alive")) == b"alive"
        rt.shutdown()
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_a_factory_that_raises_anything_is_tried_again():
    done = run("""
        logging.getLogger("myrmidon").setLevel(logging.CRITICAL)
        rt = myrmidon.Runtime()
        raised = [SystemExit(1), KeyboardInterrupt(), ValueError()]
        def factory():
            if raised:
                raise raised.pop()
            return rt.spawn(print, name="made")
        first = rt.spawn(lambda message: 1 // 0)
        made = [first]
        def make():
            return made.pop() if made else factory()
        rt.supervise_with_factory(first, make, "RestartOne")
        (child,) = rt.child_pids()
        rt.send(child, b"x")
        eventually(lambda: rt.whereis("made"))
        assert not raised
        print("end")
    """)
    assert done.stdout.split() == ["end"]


CALLS = [
    "rt.ask_sync(busy, b'x', timeout=None)",
    "rt.ask_sync(busy, b'x', timeout=1000)",
    "asyncio.run(rt.ask(busy, b'x', timeout=None))",
    "rt.join(busy)",
    "rt.run()",
    "mailbox.recv()",
    "mailbox.recv(timeout=1000)",
    "mailbox.recv_many()",
    "mailbox.select(prefix=b'x')",
    "list(mailbox)",
    "rt.shutdown(1000)",
    "rt.resolve_remote(silent, 'x')",
    "asyncio.run(rt.resolve_remote_py(silent, 'x'))",
]


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_every_wait_of_the_main_thread(call):
    text = f"""
        import socket
        rt = myrmidon.Runtime(request_timeout=1000.0)
        server = socket.create_server(("127.0.0.1", 0))
        silent = "127.0.0.1:%d" % server.getsockname()[1]
        gate, boxes = threading.Event(), []
        busy = rt.spawn(lambda message: gate.wait() and None, blocking=True)
        rt.send_many(busy, [b"x", b"behind it"])
        rt.spawn_with_mailbox(lambda mailbox: boxes.append(mailbox) or gate.wait())
        mailbox = eventually(lambda: boxes)[0]
        try:
            print("ready", flush=True)
            {call}
        except KeyboardInterrupt:
            print("interrupted", rt.is_alive(busy), flush=True)
        gate.set()
    """
    text = KINDS.replace("\n    ", "\n") + text.replace("\n        ", "\n")
    process = subprocess.Popen(program(text), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert out.split()[:1] == ["interrupted"], err
    assert process.returncode == 0, err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_child_may_have_loops_and_actors_of_its_own():
    done = run("""
        import warnings
        warnings.simplefilter("ignore")
        rt = myrmidon.Runtime()
        async def echo(message):
            return message
        async def main(runtime):
            return await runtime.ask(runtime.spawn(echo), b"answer")
        def function(mailbox):
            mailbox.recv()
        old = rt.spawn(echo)
        assert rt.ask_sync(old, b"x") == b"x"
        assert asyncio.run(main(rt)) == b"answer"
        rt.spawn_with_mailbox(function)
        child = os.fork()
        if child == 0:
            for call in (
                lambda: rt.ask_sync(old, b"x"), lambda: rt.spawn(echo),
                lambda: rt.spawn_with_mailbox(function), lambda: asyncio.run(rt.ask(old, b"x")),
            ):
                try:
                    call()
                    print("no error", flush=True)
                except errors.ForkedError:
                    pass
            own = myrmidon.Runtime()
            assert own.ask_sync(own.spawn(echo), b"x") == b"x"
            assert asyncio.run(main(own)) == b"answer"
            own.shutdown()
            print("child", flush=True)
            raise SystemExit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert rt.ask_sync(old, b"x") == b"x"
        print("parent")
    """)
    assert done.stdout.split() == ["child", "parent"]


def test_two_runtimes_in_one_process_and_one_loop_know_nothing_of_each_other():
    done = run("""
        one, two = myrmidon.Runtime(), myrmidon.Runtime("quic")
        async def echo(message):
            return message
        async def main():
            pids = {rt: rt.spawn(echo, name="echo") for rt in (one, two)}
            for rt, other in ((one, two), (two, one)):
                assert await rt.ask(pids[rt], b"x") == b"x"
                assert rt.whereis("echo") == pids[rt]
                assert not rt.send(pids[other], b"x")
                try:
                    await rt.ask(pids[other], b"x")
                except errors.NoProcess:
                    print("nobody")
            await asyncio.get_running_loop().run_in_executor(None, one.shutdown)
            assert await two.ask(pids[two], b"x") == b"x"
        asyncio.run(main())
        two.shutdown()
        print("end")
    """)
    assert done.stdout.split() == ["nobody", "nobody", "end"]


def test_s42_a_handler_that_never_returns_is_reported_and_others_of_other_kinds_go_on():
    done = run("""
        reported = threading.Event()
        class Reports(logging.Handler):
            def emit(self, record):
                if "has run for" in record.getMessage():
                    reported.set()
        logging.getLogger("myrmidon.actor").addHandler(Reports())
        rt = myrmidon.Runtime()
        rt.send(rt.spawn(lambda message: threading.Event().wait()), b"x")
        assert reported.wait(20)
        for kind in (asynchronous, thread, task, blocking):
            done = threading.Event()
            rt.send(kind(rt, done.set), b"x")
            assert done.wait(20), kind
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_d12_a_held_interpreter_holds_up_no_socket_and_loses_nothing():
    done = run("""
        import ctypes
        here = myrmidon.Runtime(heartbeat=0.2, down_after=1.0)
        there = myrmidon.Runtime(heartbeat=0.2, down_after=1.0)
        addr = there.listen("127.0.0.1:0")
        seen = []
        pid = there.spawn(seen.append, name="pid")
        watcher = here.spawn_observed_handler()
        assert here.resolve_remote(addr, "pid") == pid
        here.send_remote(addr, pid, b"before")
        timer = there.send_interval(pid, 0.1, b"tick")
        # A call that keeps the interpreter, unlike time.sleep, for longer than a silent node may be.
        ctypes.PyDLL(None).sleep(3)
        assert here.is_node_up(addr)
        here.send_remote(addr, pid, b"after")
        eventually(lambda: b"after" in seen)
        assert seen[0] == b"before" and seen.count(b"tick") >= 20
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_a_logger_that_blocks_holds_up_nobody_and_what_is_left_out_is_counted():
    done = run("""
        gate, texts = threading.Event(), []
        class Blocks(logging.Handler):
            def emit(self, record):
                gate.wait()
                texts.append(record.getMessage())
        logger = logging.getLogger("myrmidon.actor")
        logger.addHandler(Blocks())
        logger.propagate = False
        rt = myrmidon.Runtime()
        crashing = [rt.spawn(lambda message: 1 // 0) for _ in range(3000)]
        for pid in crashing:
            assert rt.send(pid, b"x")
        eventually(lambda: not any(map(rt.is_alive, crashing)))
        answers = rt.spawn(lambda message: message)
        assert rt.ask_sync(answers, b"x") == b"x"
        assert asyncio.run(rt.ask(answers, b"x")) == b"x"
        gate.set()
        eventually(lambda: len(texts) >= 1024)
        rt.send(rt.spawn(lambda message: 1 // 0), b"x")
        eventually(lambda: any("were left out" in text for text in texts))
        assert len(texts) < 1100
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_ten_thousand_spawns_swaps_and_stops_keep_no_handler():
    done = run("""
        rt = myrmidon.Runtime()
        class Plain:
            def __call__(self, message):
                return message
        class Asynchronous:
            async def __call__(self, message):
                return message
        class Pulls:
            async def __call__(self, mailbox):
                async for message in mailbox:
                    mailbox.reply.send(message)
        kept = []
        def handler(kind):
            made = kind()
            kept.append(weakref.ref(made))
            return made
        async def main():
            for turn in range(100):
                pids = []
                for number in range(100):
                    first, second = (Plain, Asynchronous) if number % 2 else (Asynchronous, Plain)
                    if number % 10:
                        pid = rt.spawn(handler(first))
                        rt.hot_swap(pid, handler(second))
                    else:
                        pid = rt.spawn_with_mailbox(handler(Pulls))
                    pids.append(pid)
                answers = await asyncio.gather(*(rt.ask(pid, b"x", timeout=60) for pid in pids))
                assert answers == [b"x"] * len(pids)
                for pid in pids[::2]:
                    rt.stop(pid)
                for pid in pids[1::2]:
                    rt.kill(pid)
                while any(map(rt.is_alive, pids)):
                    await asyncio.sleep(0.001)
            assert len(kept) == 19_000
        asyncio.run(main())
        def living():
            gc.collect()
            return sum(1 for made in kept if made() is not None)
        eventually(lambda: living() == 0)
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_loops_that_come_and_go_are_not_kept():
    done = run("""
        rt = myrmidon.Runtime()
        pid = rt.spawn(lambda message: message)
        loops = []
        async def handler(message):
            return message
        async def main():
            loops.append(weakref.ref(asyncio.get_running_loop()))
            assert await rt.ask(pid, b"x") == b"x"
            assert await rt.ask(rt.spawn(handler), b"x") == b"x"
        for _ in range(200):
            asyncio.run(main())
        def living():
            gc.collect()
            return sum(1 for loop in loops if loop() is not None)
        # The last may be kept for the next call.
        eventually(lambda: living() <= 2)
        print("end")
    """)
    assert done.stdout.split() == ["end"]
