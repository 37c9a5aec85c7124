"""The documented frames, byte for byte, on a bare socket against a listening node."""

import json
import socket
import struct
from pathlib import Path

import pytest
from support import Inbox, eventually

VECTORS = json.loads(
    (Path(__file__).parents[2] / "interop-tests" / "vectors" / "frames.json").read_text(encoding="utf-8")
)


def encode(frame: dict) -> bytes:
    if frame["type"] == "message":
        data = bytes.fromhex(frame["data_hex"])
        return struct.pack(">BQI", 0, frame["pid"], len(data)) + data
    if frame["type"] == "resolve":
        name = frame["name"].encode()
        return struct.pack(">BI", 1, len(name)) + name
    return {"ping": b"\x02", "pong": b"\x03"}[frame["type"]]


def receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        assert part, f"closed after {received!r}"
        received += part
    return received


# What no PID begins with, then version 2 and no capabilities.
PROBE_ANSWER = 0xFFFF4D32_0002_0000


@pytest.fixture
def node(make_runtime):
    rt = make_runtime("tcp")
    host, port = rt.listen("127.0.0.1:0").rsplit(":", 1)
    return rt, (host, int(port))


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_a_frame_has_these_bytes(vector):
    assert encode(vector["frame"]).hex() == vector["hex"]


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS["frames"] if vector["frame"]["type"] == "resolve"],
    ids=lambda vector: vector["name"],
)
def test_a_name_resolves_to_eight_bytes(node, vector):
    rt, addr = node
    name = vector["frame"]["name"]
    pid = rt.spawn(Inbox())
    expected = PROBE_ANSWER if name.startswith("\0myrmidon/2?n=") else 0
    if vector["frame"]["registrable"]:
        rt.register(name, pid)
        expected = pid
    with socket.create_connection(addr, timeout=10) as connection:
        connection.sendall(bytes.fromhex(vector["hex"]))
        assert struct.unpack(">Q", receive(connection, 8)) == (expected,)


def test_a_bare_socket_sends_resolves_and_pings_on_one_connection(node):
    rt, addr = node
    inbox = Inbox()
    pid = rt.spawn(inbox, name="service")
    with socket.create_connection(addr, timeout=10) as connection:
        for number in range(1000):
            data = b"%d" % number
            connection.sendall(encode({"type": "message", "pid": pid, "data_hex": data.hex()}))
        connection.sendall(encode({"type": "resolve", "name": "service"}) + b"\x02")
        assert receive(connection, 9) == struct.pack(">Q", pid) + b"\x03"
    eventually(lambda: len(inbox) == 1000)
    assert inbox == [b"%d" % number for number in range(1000)]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_a_malformed_frame_closes_its_connection_and_no_other(node, vector):
    rt, addr = node
    with socket.create_connection(addr, timeout=10) as good:
        with socket.create_connection(addr, timeout=10) as bad:
            bad.sendall(bytes.fromhex(vector["hex"]))
            bad.shutdown(socket.SHUT_WR)
            try:
                assert bad.recv(100) == b""
            except ConnectionResetError:
                pass
        good.sendall(b"\x02")
        assert receive(good, 1) == b"\x03"
    assert rt.is_node_up("%s:%d" % addr)
