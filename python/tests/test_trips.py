"""Messages there and back without a pause: the lane drives the sockets meanwhile, and must not hold them up."""

import signal
import subprocess
import threading

import pytest
from support import eventually, program, run_program

TRIPS = 300


class Trips:
    """Goes to an actor of another node and back again and again, until it is to stop."""

    def __init__(self, rt, address, name="echo"):
        self.count, self.stopped = 0, False
        self.rt, self.there = rt, rt.remote(address, name)
        rt.send(self.there, rt.ref(rt.spawn(self.back)).encode())

    def back(self, message):
        self.count += 1
        if not self.stopped:
            self.rt.send(self.there, message)


SERVER = """
    import ctypes, sys, threading, time, myrmidon
    rt = myrmidon.Runtime("{transport}"{options})
    back = []
    def echo(message):
        if not back:
            back.append(rt.remote(message.decode()))
        rt.send(back[0], b"message")
    def orders(message):
        exec(message.decode())
    rt.spawn(echo, name="echo")
    rt.spawn(orders, name="orders")
    print(rt.listen("127.0.0.1:0"), flush=True)
    sys.stdin.readline()
    rt.shutdown()
"""


@pytest.fixture
def server(transport):
    """A process whose actor "echo" sends back what comes, and "orders" does what it is told; and its address."""
    process = subprocess.Popen(
        program(SERVER.format(transport=transport, options="")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        pipe.close()


def follow(rt):
    seen = []
    rt.monitor_nodes(rt.spawn(lambda message: seen.append(message.type_name)))
    return seen


@pytest.mark.parametrize("order", ["ctypes.PyDLL(None).sleep(5)", "time.sleep(5)"])
def test_f24_a_handler_among_quick_trips_that_does_not_return_is_a_stall_and_the_node_stays_up(
    make_runtime, transport, server, order
):
    _, address = server
    rt = make_runtime(transport, down_after=3)
    rt.listen("127.0.0.1:0")
    seen, trips = follow(rt), Trips(rt, address)
    eventually(lambda: trips.count > TRIPS)
    rt.send(rt.remote(address, "orders"), order.encode())
    eventually(lambda: seen == ["NODE_UP", "NODE_STALLED"])
    assert rt.is_node_up(address)
    eventually(lambda: seen == ["NODE_UP", "NODE_STALLED", "NODE_RECOVERED"])
    before = trips.count
    eventually(lambda: trips.count > before + TRIPS)


def test_f24_an_own_thread_that_holds_the_interpreter_among_quick_trips_leaves_the_node_up(
    make_runtime, transport, server
):
    _, address = server
    rt = make_runtime(transport, down_after=3)
    rt.listen("127.0.0.1:0")
    seen, trips = follow(rt), Trips(rt, address)
    eventually(lambda: trips.count > TRIPS)
    holds = "threading.Thread(target=lambda: ctypes.PyDLL(None).sleep(5)).start()"
    rt.send(rt.remote(address, "orders"), holds.encode())
    eventually(lambda: seen == ["NODE_UP", "NODE_STALLED", "NODE_RECOVERED"])


def test_a_node_among_quick_trips_leaves_when_it_is_told_to(make_runtime, transport, server):
    process, address = server
    rt = make_runtime(transport)
    rt.listen("127.0.0.1:0")
    seen, trips = follow(rt), Trips(rt, address)
    eventually(lambda: trips.count > TRIPS)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(20) == 0
    eventually(lambda: seen == ["NODE_UP", "NODE_DOWN"])
    assert rt.nodes()[0].state == "left"


def test_ctrl_c_ends_a_run_among_quick_trips(make_runtime, transport):
    rt = make_runtime(transport)
    address = rt.listen("127.0.0.1:0")
    counted = threading.Event()
    counts = []

    def echo(message):
        counts.append(message)
        if len(counts) == 1:
            counts.append(rt.remote(message.decode()))
        if len(counts) > TRIPS:
            counted.set()
        rt.send(counts[1], b"message")

    rt.spawn(echo, name="echo")
    process = subprocess.Popen(
        program(f"""
        import myrmidon
        rt = myrmidon.Runtime("{transport}")
        rt.listen("127.0.0.1:0")
        there = rt.remote("{address}", "echo")
        rt.send(there, rt.ref(rt.spawn(lambda message: rt.send(there, message))).encode())
        try:
            rt.run()
        except KeyboardInterrupt:
            rt.shutdown()
            print("interrupted")
        """),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert counted.wait(20)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[0] == "interrupted\n"
    finally:
        process.kill()
        process.wait()


def test_a_fork_among_quick_trips_leaves_the_parent_as_it_was(transport):
    """Both nodes are in the process that forks."""
    result = run_program(f"""
        import os, threading, myrmidon
        one, two = myrmidon.Runtime("{transport}"), myrmidon.Runtime("{transport}")
        one.listen("127.0.0.1:0")
        count, enough = 0, threading.Event()
        to_one = []
        def echo(message):
            if not to_one:
                to_one.append(two.remote(message.decode()))
            two.send(to_one[0], b"message")
        two.spawn(echo, name="echo")
        there = one.remote(two.listen("127.0.0.1:0"), "echo")
        def back(message):
            global count
            count += 1
            if count % {TRIPS} == 0:
                enough.set()
            one.send(there, message)
        one.send(there, one.ref(one.spawn(back)).encode())
        for _ in range(5):
            enough.clear()
            assert enough.wait(10)
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        one.shutdown()
        two.shutdown()
        print("done")
    """)
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr


def test_nothing_is_lost_in_both_directions_at_once_between_quick_trips(make_runtime, transport):
    one, two = make_runtime(transport), make_runtime(transport)
    addresses = {rt: rt.listen("127.0.0.1:0") for rt in (one, two)}
    amount, kept = 100_000, {one: [], two: []}
    for rt in (one, two):
        rt.spawn(lambda message, keep=kept[rt].append: keep(int(message)), name="count")
    two.spawn(lambda message: two.send(two.remote(message.decode()), message), name="echo")
    trips = Trips(one, addresses[two])
    eventually(lambda: trips.count > TRIPS)

    def send(rt, other):
        there = rt.remote(addresses[other], "count")
        for number in range(amount):
            rt.send(there, b"%d" % number)

    senders = [threading.Thread(target=send, args=way) for way in ((one, two), (two, one))]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    eventually(lambda: all(len(each) >= amount for each in kept.values()), 40)
    assert all(each == list(range(amount)) for each in kept.values())
    trips.stopped = True
