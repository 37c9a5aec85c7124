"""The golden frames of level 2, against an encoder written from the protocol page alone."""

import json
import struct
from pathlib import Path

import pytest

VECTORS = json.loads(
    (Path(__file__).parents[2] / "interop-tests" / "vectors" / "level2.json").read_text(encoding="utf-8")
)

HELLO = (
    "cluster:s8 name:s8 node:id incarnation:u64 link:id vmin:u16 vmax:u16 caps:u64 lanes:u8 max_frame:u32 "
    "max_message:u64 credit_msgs:u32 credit_bytes:u32 bulk_slots:u8 heartbeat_ms:u32 advertised:s8"
)

FRAMES = {
    "hello": (0x10, HELLO),
    "hello_ack": (0x11, HELLO + " other:id key:id"),
    "goaway": (0x12, "code:u16 reason:s16"),
    "lane": (0x13, "kind:u8 number:u8 link:id key:id"),
    "lane_ok": (0x14, "kind:u8 number:u8"),
    "ready": (0x15, "lanes:u8"),
    "drained": (0x17, "received:u64"),
    "resolve": (0x18, "rid:u64 from:u64 name:s16"),
    "resolved": (0x19, "rid:u64 to:u64 pid:u64 incarnation:u64"),
    "ask": (0x20, "rid:u64 to:u64 from:u64 left_ms:u32"),
    "reply": (0x21, "rid:u64 to:u64"),
    "error": (0x22, "rid:u64 to:u64 code:u16 text:s16"),
    "monitor": (0x28, "ref:u64 to:u64 from:u64 name:s16"),
    "demonitor": (0x29, "ref:u64 to:u64 from:u64"),
    "down": (0x2A, "ref:u64 to:u64 pid:u64 reason:u8 name:s16 text:s16"),
    "link": (0x2B, "to:u64 from:u64"),
    "unlink": (0x2C, "unlink:u64 to:u64 from:u64"),
    "exit": (0x2D, "to:u64 from:u64 kind:u8 reason:u8 text:s16"),
    "unlink_ack": (0x2E, "unlink:u64 to:u64 from:u64"),
    "xoff": (0x38, "pid:u64"),
    "xon": (0x39, "pid:u64"),
    "credit": (0x3A, "msgs:u64 bytes:u64 received:u64"),
    "bulk": (0x40, "bulk:u64 to:u64 kind:u8 rid:u64 from:u64 left_ms:u32 total:u64"),
    "chunk": (0x41, "bulk:u64 to:u64 total:u64 offset:u64"),
    "bulk_cancel": (0x42, "bulk:u64 to:u64"),
    "info": (0x80, "python_age_ms:u32 scheduler_lag_ms:u32"),
}


def encode_field(kind: str, value) -> bytes:
    if kind.startswith("u"):
        return value.to_bytes(int(kind[1:]) // 8, "big")
    if kind == "id":
        return bytes.fromhex(value)
    text = value.encode()
    return len(text).to_bytes(int(kind[1:]) // 8, "big") + text


def encode(frame: dict) -> bytes:
    byte, table = FRAMES[frame["type"]]
    names = [field.split(":") for field in table.split()]
    fields = b"".join(encode_field(kind, frame["fields"][name]) for name, kind in names)
    data = bytes.fromhex(frame["data_hex"])
    return struct.pack(">BBIH", byte, 0, 2 + len(fields) + len(data), len(fields)) + fields + data


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS["frames"] if "decode_only" not in vector],
    ids=lambda vector: vector["name"],
)
def test_a_frame_has_these_bytes(vector):
    assert encode(vector["frame"]).hex() == vector["hex"]


def test_every_type_of_frame_has_a_vector():
    assert {vector["frame"]["type"] for vector in VECTORS["frames"]} == set(FRAMES)


def test_the_probe_is_a_resolve_of_level_1():
    probe = VECTORS["probe"]
    name = b"\0myrmidon/2?n=" + probe["link"].encode()
    assert (b"\x01" + struct.pack(">I", len(name)) + name).hex() == probe["resolve_hex"]
    answer = struct.pack(">4sHH", b"\xff\xff\x4d\x32", probe["version"], probe["capabilities"])
    assert answer.hex() == probe["answer_hex"]
