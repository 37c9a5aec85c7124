"""How the processes talk: chunks and JSON between nodes, JSON lines between a node and the driver."""

import json
import struct
import sys
import threading
import time
from typing import Any

_printing = threading.Lock()


def pack_chunk(number: int, text: bytes) -> bytes:
    """A chunk as it travels: its number, then its text."""
    return struct.pack(">Q", number) + text


def unpack_chunk(message: bytes) -> tuple[int, str]:
    (number,) = struct.unpack_from(">Q", message)
    return number, message[8:].decode()


def pack(kind: str, **fields: Any) -> bytes:
    """Any other message: a JSON object with its kind."""
    return json.dumps({"kind": kind, **fields}, separators=(",", ":")).encode()


def unpack(message: bytes | str) -> dict[str, Any]:
    return json.loads(message)


def tell_driver(kind: str, **fields: Any) -> None:
    """Print an event for the driver, with the time at which it happened."""
    line = pack(kind, at=time.time(), **fields).decode()
    with _printing:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
