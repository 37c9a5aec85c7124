"""Processes that are made of one with a runtime: by fork, by multiprocessing, and ended in the middle."""

import os
import subprocess
import sys
import textwrap

import pytest
from kinds import KINDS, run
from support import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def test_after_fork_every_call_says_what_to_do_and_the_child_may_start_anew():
    done = run_program("""
        import os, warnings, myrmidon
        warnings.simplefilter("ignore")
        rt = myrmidon.Runtime()
        pid = rt.spawn(lambda message: None)
        child = os.fork()
        if child == 0:
            calls = [
                lambda: rt.send(pid, b""), lambda: rt.spawn(print), lambda: rt.shutdown(),
                lambda: rt.join(pid), lambda: rt.listen("127.0.0.1:0"), lambda: rt.get_messages(pid),
            ]
            for call in calls:
                try:
                    call()
                    print("no error", flush=True)
                except RuntimeError as error:
                    assert "fork" in str(error) and isinstance(error, myrmidon.MyrmidonError)
            del rt, calls, call
            own = myrmidon.Runtime()
            answer = own.spawn(lambda message: print(message.decode(), flush=True))
            own.send(answer, b"child")
            own.shutdown()
            raise SystemExit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        print("parent", rt.send(pid, b""))
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["child", "parent", "True"]


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


def test_f25_children_of_a_fork_in_the_middle_of_everything_end_in_good_order():
    done = run("""
        import warnings
        warnings.simplefilter("ignore")
        rt = myrmidon.Runtime()
        handled = [0]
        def act():
            handled[0] += 1
        pids = [kind(rt, act) for kind in kinds if kind is not supervised]
        rt.listen("127.0.0.1:0")
        for turn in range(10):
            # Locks of the runtime may be held by its threads at this moment; the child touches none.
            for pid in pids:
                rt.send_many(pid, [b"x"] * 20)
            child = os.fork()
            if child == 0:
                copy = rt
                del rt, copy
                gc.collect()
                own = myrmidon.Runtime()
                answer = own.ask_sync(own.spawn(lambda message: message), b"x")
                raise SystemExit(7 if answer == b"x" else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 7, status
        eventually(lambda: handled[0] == 10 * 20 * len(pids))
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_f25_a_loop_of_the_parent_may_be_closed_in_the_child():
    done = run("""
        import warnings
        warnings.simplefilter("ignore")
        rt = myrmidon.Runtime()
        gate = threading.Event()
        waits = rt.spawn(lambda message: gate.wait(), blocking=True)
        answers = rt.spawn(lambda message: message)
        async def echo(message):
            return message
        async def main():
            pids = [rt.spawn(echo) for _ in range(20)]
            await asyncio.gather(*(rt.ask(pid, b"x") for pid in pids))
            asyncio.ensure_future(rt.ask(waits, b"x", timeout=60.0))
            await asyncio.sleep(0)
            return pids
        for turn in range(20):
            loop = asyncio.new_event_loop()
            pids = loop.run_until_complete(main())
            # Its threads are at it: some may hold a lock of the bell, or be in the middle of an actor.
            for pid in pids:
                rt.send(pid, b"x")
            child = os.fork()
            if child == 0:
                logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
                loop.close()
                del loop
                gc.collect()
                os._exit(7)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 7, status
            assert all(map(rt.is_alive, pids))
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            eventually(lambda: not any(map(rt.is_alive, pids)))
        gate.set()
        assert rt.ask_sync(answers, b"x") == b"x"
        print("end")
    """)
    assert done.stdout.split() == ["end"]


def test_f25_what_other_libraries_do_around_a_fork_finds_no_lock_taken():
    done = run_program("""
        import os, threading, time, warnings
        # The first to be registered is the last before a fork, and the first after it.
        os.register_at_fork(before=lambda: time.sleep(0.1), after_in_parent=lambda: time.sleep(0.1))
        import myrmidon
        warnings.simplefilter("ignore")
        rt = myrmidon.Runtime()
        over = threading.Event()
        def allocate():
            while not over.is_set():
                rt.allocate_buffer(16)
        other = threading.Thread(target=allocate)
        other.start()
        for turn in range(3):
            child = os.fork()
            if child == 0:
                os._exit(7)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 7, status
        over.set()
        other.join()
        print("end")
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["end"]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_f25_workers_of_multiprocessing_may_have_runtimes_of_their_own(method, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"""if True:
        import multiprocessing, warnings
        import myrmidon
        warnings.simplefilter("ignore")

        def work(number):
            with myrmidon.Runtime() as rt:
                pid = rt.spawn(lambda message: message * 2)
                return rt.ask_sync(pid, b"%d" % number, timeout=20)

        if __name__ == "__main__":
            rt = myrmidon.Runtime()
            pid = rt.spawn(lambda message: message)
            with multiprocessing.get_context("{method}").Pool(3) as pool:
                print(*pool.map(work, range(6)))
            print(rt.ask_sync(pid, b"end"))
    """)
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = [b"%d" % number * 2 for number in range(6)]
    assert done.stdout.splitlines() == [" ".join(map(str, expected)), "b'end'"]
    assert "Fatal" not in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("kind", ["plain", "blocking", "asynchronous", "thread", "task"])
def test_f25_a_handler_may_end_the_process_at_once(kind):
    done = run_program(KINDS + textwrap.dedent(f"""
        rt = myrmidon.Runtime()
        rt.listen("127.0.0.1:0")
        rt.send({kind}(rt, lambda: os._exit(9)), b"x")
        threading.Event().wait(20)
    """))
    assert done.returncode == 9 and done.stderr == "", done.stderr
