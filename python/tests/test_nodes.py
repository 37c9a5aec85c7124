"""How things stand with other nodes, and who is told."""

import subprocess

import pytest
from support import Inbox, eventually, program

import myrmidon


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


def other_process(transport, then=""):
    """A node in a process of its own, and its address. It does what ``then`` says and waits for a line."""
    process = subprocess.Popen(
        program(f"""
        import sys, myrmidon
        rt = myrmidon.Runtime("{transport}")
        print(rt.listen("127.0.0.1:0"), flush=True)
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
    assert (up.node.name is not None) == (transport == "quic")
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
