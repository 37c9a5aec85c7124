"""How a process with a runtime ends. Each in a process of its own."""

import subprocess
import sys

import pytest
from support import run_program


def ends_well(done):
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr, done.stderr
    assert "panicked" not in done.stderr, done.stderr
    return done.stdout.split()


def test_queued_messages_are_handled_at_exit():
    done = run_program("""
        import myrmidon
        rt = myrmidon.Runtime()
        seen = []
        def handler(message):
            seen.append(message)
            if len(seen) == 5000:
                print("all", flush=True)
        pid = rt.spawn(handler)
        for _ in range(5000):
            rt.send(pid, b"x")
    """)
    assert ends_well(done) == ["all"]


@pytest.mark.parametrize("way", ["exit", "shutdown"])
def test_messages_that_were_given_to_loops_and_threads_are_handled_at_the_end(way):
    done = run_program(f"""
        import asyncio, atexit, threading
        seen, lock = [], threading.Lock()
        atexit.register(lambda: print(len(seen)))  # The first to be registered is the last to be called.
        import myrmidon
        def see(message):
            with lock:
                seen.append(message)
        async def handler(message):
            await asyncio.sleep(0.001)
            see(message)
        async def pulls(mailbox):
            async for message in mailbox:
                see(message)
        def pulls_on_a_thread(mailbox):
            for message in mailbox:
                see(message)
        rt = myrmidon.Runtime()
        pids = [rt.spawn(handler) for _ in range(50)]
        pids += [rt.spawn_with_mailbox(pulls) for _ in range(20)]
        pids += [rt.spawn_with_mailbox(pulls_on_a_thread) for _ in range(5)]
        for pid in pids:
            rt.send(pid, b"x")
        if "{way}" == "shutdown":
            print(rt.shutdown(20.0))
    """)
    assert ends_well(done) == (["0", "75"] if way == "shutdown" else ["75"])


def test_a_shutdown_counts_what_was_given_and_not_handled():
    done = run_program("""
        import asyncio, myrmidon
        rt = myrmidon.Runtime()
        begun = asyncio.Event()
        async def handler(message):
            begun.set()
            await asyncio.sleep(60)
        async def main():
            pid = rt.spawn(handler)
            for _ in range(5):
                rt.send(pid, b"x")
            await begun.wait()
            print(await asyncio.to_thread(rt.shutdown, 0.05))
        asyncio.run(main())
    """)
    assert ends_well(done) == ["5"]


@pytest.mark.parametrize("transport", ["tcp", "tls", "quic"])
def test_outbound_messages_leave_at_exit(make_runtime, transport):
    from support import Inbox, eventually

    rt = make_runtime(transport)
    inbox = Inbox()
    pid = rt.spawn(inbox)
    addr = rt.listen("127.0.0.1:0")
    done = run_program(f"""
        import myrmidon
        rt = myrmidon.Runtime("{transport}")
        for number in range(2000):
            rt.send_remote("{addr}", {pid}, b"%d" % number)
    """)
    ends_well(done)
    eventually(lambda: len(inbox) == 2000)


def test_exit_with_actors_that_never_stop_talking():
    done = run_program("""
        import myrmidon
        rt = myrmidon.Runtime()
        def handler(message):
            rt.send(pid, message)
        pid = rt.spawn(handler)
        rt.send(pid, b"x")
        print("end")
    """)
    assert ends_well(done) == ["end"]


@pytest.mark.parametrize(
    "body", ["time.sleep(60)", "while True: pass", "threading.Event().wait()", "rt.join(other)"]
)
def test_exit_with_a_handler_that_never_returns(body):
    done = run_program(f"""
        import threading, time, myrmidon
        rt = myrmidon.Runtime()
        inside = threading.Event()
        other = rt.spawn(print)
        def handler(message):
            inside.set()
            {body}
        rt.send(rt.spawn(handler), b"x")
        inside.wait()
        print("end")
    """)
    assert ends_well(done) == ["end"]


def test_exit_from_several_runtimes_with_remote_traffic():
    done = run_program("""
        import myrmidon
        one, two = myrmidon.Runtime(), myrmidon.Runtime()
        addr = one.listen("127.0.0.1:0")
        pid = one.spawn(lambda message: None)
        for _ in range(1000):
            two.send_remote(addr, pid, b"x" * 1000)
        print("end")
    """)
    assert ends_well(done) == ["end"]


def test_exit_takes_no_longer_with_many_frozen_runtimes_than_with_one():
    done = run_program(
        """
        import threading, myrmidon
        begun = threading.Semaphore(0)

        def freeze(message):
            begun.release()
            threading.Event().wait()

        for runtime in [myrmidon.Runtime(workers=1) for _ in range(16)]:
            runtime.send(runtime.spawn(freeze), b"x")
            begun.acquire()
        print("end")
        """,
        deadline=20.0,  # One after another they would take longer.
    )
    assert ends_well(done) == ["end"]


def test_a_runtime_that_was_only_made_ends():
    assert ends_well(run_program("import myrmidon; rt = myrmidon.Runtime(); print('end')")) == ["end"]
    assert ends_well(run_program("import myrmidon; myrmidon.Runtime(); print('end')")) == ["end"]


def test_a_runtime_that_nobody_shut_down_is_told_of_and_its_threads_end_if_it_has_nothing_to_do():
    done = run_program("""
        import gc, os, time
        import myrmidon

        def threads():
            return len(os.listdir("/proc/self/task")) - 1

        def drop():
            myrmidon.Runtime()

        def drop_with_an_actor():
            rt = myrmidon.Runtime()
            return rt.spawn(print)

        def end():
            with myrmidon.Runtime() as rt:
                rt.spawn(print)

        drop()
        deadline = time.monotonic() + 20
        while threads():
            assert time.monotonic() < deadline, "its threads live on"
            time.sleep(0.001)
        drop_with_an_actor()
        print(threads() > 0)
        end()
        left = myrmidon.Runtime()
        left.spawn(print)
    """)
    assert ends_well(done) == ["True"]
    told = [line for line in done.stderr.splitlines() if "ResourceWarning: unclosed" in line]
    assert len(told) == 2, done.stderr
    assert "it ends now" in told[0]
    assert "until the interpreter ends" in told[1]


def test_nobody_is_warned_of_a_runtime_in_a_forked_child_or_a_simulation():
    done = run_program("""
        import os, sys
        import myrmidon
        from myrmidon.testing import Simulation
        rt = myrmidon.Runtime()
        child = os.fork()
        if not child:
            del rt
            sys.stderr.flush()
            os._exit(0)
        print(os.waitpid(child, 0)[1])
        sim = Simulation()
        pid = sim.rt.spawn(print)
        sim.close()
        del sim
        rt.shutdown()
    """)
    assert ends_well(done) == ["0"]
    assert "ResourceWarning" not in done.stderr, done.stderr


def test_sys_exit_in_a_handler_ends_the_actor_only():
    done = run_program("""
        import sys, myrmidon
        rt = myrmidon.Runtime()
        watcher = rt.spawn_observed_handler()
        pid = rt.spawn(lambda message: sys.exit(7))
        rt.monitor(watcher, pid)
        rt.send(pid, b"x")
        rt.join(pid)
        while not (messages := rt.get_messages(watcher)): pass
        print(messages[0].metadata)
    """)
    assert ends_well(done) == ["SystemExit:", "7"]


def test_a_crash_right_before_the_end_is_still_logged():
    done = run_program("""
        import myrmidon
        rt = myrmidon.Runtime()
        def handler(message):
            raise ValueError("last words")
        rt.send(rt.spawn(handler), b"x")
    """)
    ends_well(done)
    assert done.stderr.count("ValueError: last words") == 2  # the reason, and the traceback's last line


def test_the_command_is_in_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "myrmidon", "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "certs" in done.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "myrmidon", "no-such-command"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert wrong.returncode != 0


def test_a_subinterpreter_is_refused():
    done = run_program("""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        try:
            here = interpreters.create("legacy")
        except TypeError:
            here = interpreters.create()
        except ValueError:
            here = interpreters.create(isolated=False)
        said = "try:\\n import myrmidon\\nexcept ImportError as error:\\n print('refused:', error)"
        interpreters.run_string(here, said)
        interpreters.destroy(here)
        import myrmidon
        with myrmidon.Runtime() as rt:
            print(rt.ask_sync(rt.spawn(lambda message: message), b"here"))
    """)
    assert done.returncode == 0, done.stderr
    assert "refused:" in done.stdout, done.stdout + done.stderr
    assert "b'here'" in done.stdout
