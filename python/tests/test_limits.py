"""The limits of the mesh that `Runtime` takes."""

import contextlib
import socket
import threading

import pytest
from support import eventually

from myrmidon import errors

NAMES = ["message_lanes", "outbound_messages", "outbound_bytes", "max_connections", "max_peers"]


class Tunnel:
    """Counts the connections that go through it to ``address``."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.target = host, int(port)
        self.count = 0
        self.closing = False
        self.sockets = []
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self.listener.getsockname()[1])
        self.start(self.run)

    def start(self, target, *arguments):
        self.threads.append(threading.Thread(target=target, args=arguments))
        self.threads[-1].start()

    def run(self):
        while True:
            here, _ = self.listener.accept()
            there = socket.create_connection(self.target)
            self.sockets += here, there
            if self.closing:
                return
            self.count += 1
            self.start(pump, here, there)
            self.start(pump, there, here)

    def close(self):
        """Ends everything; the last connection wakes who accepts."""
        self.closing = True
        socket.create_connection(self.listener.getsockname()).close()
        self.threads[0].join()
        for connection in self.sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for connection in (self.listener, *self.sockets):
            connection.close()


def pump(one, other):
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnel():
    """Makes tunnels that are closed at the end of the test."""
    made = []

    def make(address):
        made.append(Tunnel(address))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def silent():
    """An address at which nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield "127.0.0.1:{}".format(listener.getsockname()[1])


@pytest.mark.parametrize(("here", "there", "lanes"), [(0, 4, 0), (None, None, 4), (8, 16, 8)])
def test_a_link_has_as_many_message_lanes_as_both_sides_allow(make_runtime, tunnel, here, there, lanes):
    server = make_runtime(message_lanes=there)
    way = tunnel(server.listen("127.0.0.1:0"))
    rt = make_runtime(message_lanes=here)
    assert rt.is_node_up(way.address)
    # Besides there are the control lane and that of large payloads.
    eventually(lambda: way.count == lanes + 2)
    server.spawn(lambda message: message, name="echo")
    assert rt.ask_sync(rt.remote(way.address, "echo"), b"x") == b"x"
    assert way.count == lanes + 2


def test_l10_what_waits_for_a_peer_is_bounded_by_messages(make_runtime, silent):
    rt = make_runtime(outbound_messages=3, send_timeout=0)
    for _ in range(3):
        rt.send_remote(silent, 1 << 32, b"")
    with pytest.raises(errors.Busy):
        rt.send_remote(silent, 1 << 32, b"")


def test_l10_what_waits_for_a_peer_is_bounded_by_bytes(make_runtime, silent):
    rt = make_runtime(outbound_bytes=1000, send_timeout=0)
    rt.send_remote(silent, 1 << 32, bytes(600))
    with pytest.raises(errors.Busy):
        rt.send_remote(silent, 1 << 32, bytes(401))
    rt.send_remote(silent, 1 << 32, bytes(400))


def test_l07_no_more_connections_are_accepted_than_may_be(make_runtime):
    rt = make_runtime(max_connections=1)
    host, port = rt.listen("127.0.0.1:0").rsplit(":", 1)

    def connect():
        connection = socket.create_connection((host, int(port)), timeout=20)
        connection.sendall(b"\x02")
        return connection

    def answer(connection):
        with contextlib.suppress(ConnectionError):
            return connection.recv(1)
        return b""

    with connect() as first:
        assert answer(first) == b"\x03"
        with connect() as second:
            assert answer(second) == b""
        first.sendall(b"\x02")
        assert answer(first) == b"\x03"


def test_no_more_addresses_are_remembered_than_may_be(make_runtime, silent):
    rt, server = make_runtime(max_peers=1), make_runtime()
    address = server.listen("127.0.0.1:0")
    assert rt.is_node_up(address)
    with pytest.raises(errors.NodeDown, match="raise max_peers"):
        rt.send_remote(silent, 1 << 32, b"")


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_that_makes_no_sense_is_refused_by_its_name(make_runtime, name):
    wrong = [-1, 1 << 70, 17 if name == "message_lanes" else 0]
    for number in wrong:
        with pytest.raises(ValueError, match=name):
            make_runtime(**{name: number})
    with pytest.raises(TypeError, match=name):
        make_runtime(**{name: "many"})
