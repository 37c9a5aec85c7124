"""What a process bears: each in a process of its own, with all kinds of actors in it."""

import pytest
from kinds import run


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


def test_f24_d12_an_interpreter_held_for_ten_seconds_holds_up_no_socket_and_loses_nothing():
    done = run("""
        import ctypes, subprocess
        # Another process follows the one whose interpreter is held, as its own would be held too.
        peer = subprocess.Popen([sys.executable, "-c", '''if True:
            import sys, myrmidon
            rt = myrmidon.Runtime(heartbeat=0.5, down_after=2.0)
            # In one piece: print may be cut in two by what another thread prints.
            def say(text):
                sys.stdout.write(text + chr(10))
                sys.stdout.flush()
            pid = rt.spawn(lambda message: say(message.type_name))
            rt.monitor_nodes(pid)
            there = rt.remote(sys.stdin.readline().strip(), "pid")
            say("found")
            for line in sys.stdin:
                rt.send(there, line.strip().encode())
            rt.shutdown()
        '''], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        here = myrmidon.Runtime(heartbeat=0.5, down_after=2.0)
        seen = []
        pid = here.spawn(seen.append, name="pid")
        told = []
        reader = threading.Thread(daemon=True, target=lambda: [told.append(line.strip()) for line in peer.stdout])
        reader.start()
        print(here.listen("127.0.0.1:0"), file=peer.stdin, flush=True)
        # On a machine that is very busy it may seem to stall already now.
        eventually(lambda: {"NODE_UP", "found"} <= set(told))
        eventually(lambda: told.count("NODE_STALLED") == told.count("NODE_RECOVERED"))
        before = len(told)
        timer = here.send_interval(pid, 0.1, b"tick")
        print("during", file=peer.stdin, flush=True)
        # A call that keeps the interpreter, unlike time.sleep, for much longer than a silent node may be.
        ctypes.PyDLL(None).sleep(10)
        eventually(lambda: b"during" in seen and seen.count(b"tick") >= 80)
        print("after", file=peer.stdin, flush=True)
        eventually(lambda: b"after" in seen)
        eventually(lambda: told[before:][:1] == ["NODE_STALLED"] and told[-1] == "NODE_RECOVERED")
        peer.stdin.close()
        reader.join()
        peer.stdout.close()
        assert peer.wait() == 0
        assert set(told) == {"NODE_UP", "NODE_STALLED", "NODE_RECOVERED", "found"}, told
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
            rt.actors()  # What threads of ours let go of is given back at the next call.
            gc.collect()
            return sum(1 for made in kept if made() is not None)
        eventually(lambda: living() == 0)
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_exit_with_loops_that_stand_still_and_one_that_was_closed():
    done = run("""
        rt = myrmidon.Runtime()
        gate = threading.Event()
        waits = rt.spawn(lambda message: gate.wait(), blocking=True)
        answers = rt.spawn(lambda message: message)
        async def handler(message):
            await asyncio.sleep(60)
        async def pulls(mailbox):
            await mailbox.recv()
        async def main():
            for pid in (waits, answers):
                asyncio.ensure_future(rt.ask(pid, b"x", timeout=None))
            rt.send(rt.spawn(handler), b"x")
            rt.spawn_with_mailbox(pulls)
            await asyncio.sleep(0.01)
        kept = asyncio.new_event_loop()
        kept.run_until_complete(main())
        # What is said of tasks that are given up is not of this test.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
        asyncio.new_event_loop().run_until_complete(main())
        closed = asyncio.new_event_loop()
        closed.run_until_complete(main())
        closed.close()
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
            # What threads of ours let go of is given back at the next call.
            rt.actors()
            gc.collect()
            return sum(1 for loop in loops if loop() is not None)
        eventually(lambda: living() == 0)
        print("end")
    """)
    assert done.stdout.split() == ["end"]
