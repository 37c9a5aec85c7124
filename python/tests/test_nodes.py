"""How things stand with other nodes, and who is told."""

import signal
import subprocess
import time

import pytest
from support import Inbox, eventually, program

import myrmidon
from myrmidon import errors


class Follower:
    """An actor that keeps what it is told of other nodes."""

    def __init__(self, rt):
        self.inbox = Inbox()
        self.pid = rt.spawn(self.inbox)
        assert rt.monitor_nodes(self.pid)

    def names(self):
        return [message.type_name for message in self.inbox]

    def wait_for(self, *names, deadline=20.0):
        eventually(lambda: self.names() == list(names), deadline)
        return self.inbox[-1]


def the_node(rt):
    (node,) = rt.nodes()
    return node


def other_process(transport, then="", options="", listen="127.0.0.1:0"):
    """A node in a process of its own, and its address. It does what ``then`` says and waits for a line."""
    process = subprocess.Popen(
        program(f"""
        import sys, myrmidon
        rt = myrmidon.Runtime("{transport}"{options})
        print(rt.listen("{listen}"), flush=True)
        sys.stdin.readline()
        {then}
        sys.stdin.readline()
        """),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def ended():
    """Processes to end with the test, by their ids."""
    processes = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def test_d12_a_node_that_comes_and_leaves_is_told_with_its_identity(pair, transport):
    here, there, addr = pair
    follower = Follower(here)
    assert here.nodes() == []
    assert here.is_node_up(addr)
    up = follower.wait_for("NODE_UP")
    assert isinstance(up.node, myrmidon.NodeEvent)
    assert (up.node.state, up.node.addr, up.node.detail, up.reason) == ("up", addr, None, None)
    assert len(up.node.node_id) == 32
    assert (up.node.name is None) == (transport == "tcp")
    node = the_node(here)
    assert (node.state, node.addr, node.level) == ("up", addr, 2)
    assert (node.node_id, node.incarnation) == (up.node.node_id, up.node.incarnation)
    assert 0 < node.round_trip < 10
    assert the_node(there).state == "up", "it sees the one that dialled"
    there.shutdown()
    down = follower.wait_for("NODE_UP", "NODE_DOWN")
    assert (down.reason, down.node.incarnation) == ("left", up.node.incarnation)
    assert (the_node(here).state, the_node(here).round_trip) == ("left", None)
    assert repr(down).startswith("PySystemMessage(\"NODE_DOWN\", reason=\"left\"")
    assert repr(the_node(here)) == f'NodeInfo("left", "{addr}")'


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_node_that_goes_down_without_waiting_leaves_too(pair, timeout):
    here, there, addr = pair
    there.spawn(print, name="x")
    follower = Follower(here)
    here.remote(addr, "x")
    follower.wait_for("NODE_UP")
    there.shutdown(timeout)
    assert follower.wait_for("NODE_UP", "NODE_DOWN").reason == "left"


def test_who_takes_it_back_is_told_no_more(pair):
    here, there, addr = pair
    follower, other = Follower(here), Follower(here)
    assert here.demonitor_nodes(other.pid)
    assert not here.demonitor_nodes(other.pid)
    assert here.is_node_up(addr)
    follower.wait_for("NODE_UP")
    assert other.inbox == []
    here.stop(other.pid)
    here.join(other.pid)
    assert not here.monitor_nodes(other.pid)


def test_an_observed_actor_keeps_node_messages(pair):
    here, _, addr = pair
    observer = here.spawn_observed_handler()
    assert here.monitor_nodes(observer)
    assert here.is_node_up(addr)
    (message,) = eventually(lambda: here.get_messages(observer))
    assert (message.type_name, message.node.addr) == ("NODE_UP", addr)


def test_f01_a_killed_process_has_crashed(make_runtime, ended):
    rt = make_runtime("tcp")
    follower = Follower(rt)
    process, addr = other_process("tcp")
    ended.append(process)
    assert rt.is_node_up(addr)
    follower.wait_for("NODE_UP")
    process.kill()
    assert follower.wait_for("NODE_UP", "NODE_DOWN").reason == "crashed"
    assert the_node(rt).state == "crashed"


def test_f02_a_killed_process_that_is_started_again_on_its_port_has_crashed_also_over_quic(
    make_runtime, ended
):
    rt = make_runtime("quic")
    follower = Follower(rt)
    process, addr = other_process("quic")
    ended.append(process)
    assert rt.is_node_up(addr)
    up = follower.wait_for("NODE_UP")
    process.kill()
    process.wait()
    process, again = other_process("quic", listen=addr)
    ended.append(process)
    assert again == addr
    down = follower.wait_for("NODE_UP", "NODE_DOWN")
    assert (down.reason, down.node.incarnation) == ("crashed", up.node.incarnation)
    assert "restarted" in down.metadata
    assert rt.is_node_up(addr)
    assert follower.wait_for("NODE_UP", "NODE_DOWN", "NODE_UP").node.incarnation != up.node.incarnation


def test_f24_a_held_interpreter_is_a_stall_and_the_node_stays_up(make_runtime, transport, ended):
    rt = make_runtime(transport)
    follower = Follower(rt)
    # A foreign function that keeps the interpreter locked.
    process, addr = other_process(transport, "import ctypes; ctypes.PyDLL(None).sleep(6)")
    ended.append(process)
    assert rt.is_node_up(addr)
    follower.wait_for("NODE_UP")
    go_on(process)
    stalled = follower.wait_for("NODE_UP", "NODE_STALLED")
    assert "Python handlers" in stalled.metadata
    assert the_node(rt).state == "stalled"
    assert rt.is_node_up(addr)
    follower.wait_for("NODE_UP", "NODE_STALLED", "NODE_RECOVERED")
    assert the_node(rt).state == "up"


def test_f03_a_process_that_was_stopped_does_not_blame_its_peers(make_runtime, transport, ended):
    peer = make_runtime(transport, down_after=60)
    addr = peer.listen("127.0.0.1:0")
    follow = f"""
        seen = []
        rt.monitor_nodes(rt.spawn(lambda message: seen.append(message.type_name)))
        print(rt.is_node_up("{addr}"), flush=True)
        sys.stdin.readline()
        print(rt.is_node_up("{addr}"), *seen, flush=True)
    """
    process, _ = other_process(transport, follow.strip(), ", down_after=2")
    ended.append(process)
    go_on(process)
    assert process.stdout.readline() == "True\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(4)  # twice the time after which a silent peer is down
    process.send_signal(signal.SIGCONT)
    # Long enough for a clock that blames the peer; the ping that follows would bring up another link.
    time.sleep(1)
    go_on(process)
    answer, *seen = process.stdout.readline().split()
    assert (answer, seen[0]) == ("True", "NODE_UP")
    assert "NODE_DOWN" not in seen


def test_f26_the_level_can_be_chosen_and_shows_in_the_list(make_runtime, transport):
    one, two = make_runtime(transport, level=1), make_runtime(transport, level=2)
    inbox = Inbox()
    two.register("inbox", two.spawn(inbox))
    addr = two.listen("127.0.0.1:0")
    pid = one.resolve_remote(addr, "inbox")
    one.send_remote(addr, pid, b"hello")
    eventually(lambda: inbox == [b"hello"])
    node = the_node(one)
    assert (node.level, node.node_id, node.incarnation) == (1, None, None)
    with pytest.raises(ValueError, match="level is 1"):
        make_runtime(level=3)


@pytest.mark.parametrize("profile", ["loopback", "lan", "wan"])
def test_nodes_of_every_profile_talk(make_runtime, transport, profile):
    here, there = make_runtime(transport, profile=profile), make_runtime(transport)
    addr = there.listen("127.0.0.1:0")
    assert here.is_node_up(addr)
    assert there.is_node_up(here.listen("127.0.0.1:0"))


@pytest.mark.parametrize("congestion", ["cubic", "newreno", "bbr"])
def test_nodes_of_every_congestion_control_talk_over_quic(make_runtime, congestion):
    here, there = make_runtime("quic", congestion=congestion), make_runtime("quic")
    addr = there.listen("127.0.0.1:0")
    got = []
    pid = there.spawn(got.append)
    there.register("sink", pid)
    proxy = here.remote(addr, "sink")
    payload = bytes(range(256)) * 4096
    for _ in range(4):
        here.send(proxy, payload)
    eventually(lambda: len(got) == 4)
    assert got == [payload] * 4


def test_a_wrong_congestion_control_is_refused(make_runtime):
    with pytest.raises(ValueError, match="newreno"):
        make_runtime("quic", congestion="reno")
    with pytest.raises(errors.StartError, match="tcp_congestion_control"):
        make_runtime("tcp", congestion="bbr")


def test_an_unknown_profile_is_refused(make_runtime):
    with pytest.raises(ValueError, match="wan"):
        make_runtime(profile="moon")


def test_an_address_of_ones_own_leads_home_without_a_warning(transport, make_runtime, caplog):
    rt = make_runtime(transport)
    told = Inbox()
    rt.spawn(told, name="here")
    address = rt.listen("127.0.0.1:0")
    assert rt.is_node_up(address)
    pid = rt.resolve_remote(address, "here")
    rt.send_remote(address, pid, b"to myself")
    eventually(lambda: told == [b"to myself"])
    assert rt.remote(address, "here") == pid
    assert rt.nodes() == []
    assert [record for record in caplog.records if record.name.startswith("myrmidon")] == []


def test_l27_log_records_about_actors_that_another_node_ends_are_limited(pair, caplog):
    here, there, address = pair
    victims = [there.spawn(lambda message: None) for _ in range(200)]
    proxies = [here.remote(address, pid) for pid in victims]
    for proxy in proxies:
        here.exit(proxy, "thrown out")
    eventually(lambda: not any(map(there.is_alive, victims)))

    def ended():
        return [record.getMessage() for record in caplog.records if "thrown out" in record.getMessage()]

    # The last to fail fails by itself, which is logged whatever others do.
    own = there.spawn(lambda message: 1 / 0)
    there.send(own, b"x")
    eventually(lambda: "ZeroDivisionError" in caplog.text)
    assert 0 < len(ended()) < 100
    more = there.spawn(lambda message: None)

    def told():
        nonlocal more
        here.exit(here.remote(address, more), "thrown out")
        more = there.spawn(lambda message: None)
        return any("like this one were left out" in text for text in ended())

    eventually(told)
