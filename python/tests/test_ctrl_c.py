"""Ctrl-C, in every call in which a main thread can wait."""

import pytest
from kinds import interrupted

# A runtime that never gives up by itself, and what it can wait for.
PLACE = """
    import socket
    from myrmidon import Actor, Bounded, Child, Options, dynamic, one_for_one, worker
    from myrmidon.testing import Probe, Simulation

    rt = myrmidon.Runtime(request_timeout=1000.0, connect_timeout=1000.0, send_timeout=1000.0)
    server = socket.create_server(("127.0.0.1", 0))
    silent = "127.0.0.1:%d" % server.getsockname()[1]
    gate, boxes = threading.Event(), []
    def wait(*_):
        gate.wait()
    busy = rt.spawn(wait, blocking=True)
    rt.send_many(busy, [b"x", b"behind it"])
    rt.spawn_with_mailbox(lambda mailbox: boxes.append(mailbox) or wait())
    mailbox = eventually(lambda: boxes)[0]

    class Slow(Actor):
        def work(self) -> None:
            wait()
    slow = rt.start_with(Options(blocking=True), Slow).with_timeout(None)

    def full():
        begun = threading.Event()
        pid = rt.spawn(lambda _: begun.set() or wait(), blocking=True, mailbox=Bounded(1, policy="block"))
        rt.send(pid, b"being handled")
        begun.wait()
        rt.send(pid, b"waits")
        return pid

    def flood(send):
        while True:
            send(bytes(1 << 20))

    def stubborn():
        supervisor = rt.supervise(one_for_one([worker(wait, id="stubborn", blocking=True, shutdown=1e9)]))
        rt.send(supervisor.children()[0].pid, b"x")
        return supervisor
"""

CALLS = [
    "rt.ask_sync(busy, b'x', timeout=None)",
    "rt.ask_sync(busy, b'x', timeout=1000)",
    "asyncio.run(rt.ask(busy, b'x', timeout=None))",
    "rt.join(busy)",
    "rt.join(busy, timeout=1000)",
    "rt.bonds(busy, timeout=1000)",
    "rt.top(by='run_time', within=1000)",
    "rt.run()",
    "rt.shutdown(1000)",
    "rt.send_blocking(full(), b'x')",
    "mailbox.recv()",
    "mailbox.recv(timeout=1000)",
    "mailbox.recv_many()",
    "mailbox.select(prefix=b'x')",
    "list(mailbox)",
    "slow.call_sync(Slow.work)",
    "asyncio.run(slow.call(Slow.work))",
    "slow.join()",
    "rt.resolve_remote(silent, 'x')",
    "asyncio.run(rt.resolve_remote_py(silent, 'x'))",
    "rt.remote(silent, 'x')",
    "asyncio.run(rt.remote_py(silent, 'x'))",
    "rt.is_node_up(silent)",
    "flood(lambda data: rt.send_remote(silent, 1, data))",
    "rt.supervise(one_for_one([Child(wait, id='never')]))",
    "rt.supervise(dynamic()).start_child(Child(wait, id='never'), timeout=1000)",
    "stubborn().stop_child('stubborn', timeout=1000)",
    "Probe(rt).next(timeout=1000)",
]


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_every_wait_of_the_main_thread(call):
    out = interrupted(PLACE + f"""
    try:
        print("ready", flush=True)
        {call}
    except KeyboardInterrupt:
        # A shutdown that has begun goes on.
        print("interrupted", rt.closed or rt.is_alive(busy), flush=True)
    gate.set()
    """)
    assert out[:2] == ["interrupted", "True"]


@pytest.mark.parametrize("call", ["send(proxy, data)", "ask_sync(proxy, data, timeout=None)"])
def test_ctrl_c_ends_the_wait_for_room_at_a_node_that_reads_nothing(call):
    out = interrupted(PLACE + f"""
    import signal, subprocess
    peer = subprocess.Popen([sys.executable, "-c", '''
    import sys, myrmidon
    rt = myrmidon.Runtime()
    pid = rt.spawn(lambda message: None, name="sink")
    print(rt.listen("127.0.0.1:0"), flush=True)
    sys.stdin.read()
    '''.replace("\\n    ", "\\n")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    far = myrmidon.Runtime(down_after=1000.0, request_timeout=1000.0, send_timeout=1000.0)
    try:
        proxy = far.remote(peer.stdout.readline().strip(), "sink")
        peer.send_signal(signal.SIGSTOP)
        print("ready", flush=True)
        flood(lambda data: far.{call})
    except KeyboardInterrupt:
        print("interrupted", rt.is_alive(busy), flush=True)
    finally:
        peer.kill()
        peer.communicate()
    gate.set()
    """)
    assert out[:2] == ["interrupted", "True"]


def test_ctrl_c_ends_a_simulation_in_which_actors_never_rest():
    out = interrupted(PLACE + """
    sim = Simulation()
    def again(message):
        time.sleep(0.001)
        sim.rt.send(pid, message)
    pid = sim.rt.spawn(again, trap_exit=True)
    sim.rt.send(pid, b"x")
    try:
        print("ready", flush=True)
        sim.run()
    except KeyboardInterrupt:
        print("interrupted", rt.is_alive(busy), flush=True)
    gate.set()
    """)
    assert out[:2] == ["interrupted", "True"]
