"""``Buffer`` objects: memory that is filled in place and moves to its receiver."""

import array
import asyncio
import contextlib
import ctypes
import gc
import mmap
import threading
import weakref

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import errors


def address(data):
    """Where the content of a readable buffer lies."""
    numpy = pytest.importorskip("numpy")
    return numpy.frombuffer(data, "u1").ctypes.data


def received(rt, data, send="send"):
    inbox = Inbox()
    assert getattr(rt, send)(rt.spawn(inbox), data)
    return eventually(lambda: inbox)[0]


@pytest.mark.parametrize("send", ["send", "send_buffer"])
def test_a_buffer_is_filled_through_views_and_arrives_as_bytes(rt, send):
    buffer = myrmidon.Buffer(8)
    assert len(buffer) == 8 and bytes(buffer) == bytes(8) and not buffer.sent
    with memoryview(buffer) as view:
        assert not view.readonly and view.nbytes == 8
        view[:] = b"contents"
    message = received(rt, buffer, send)
    assert type(message) is bytes and message == b"contents"
    assert buffer.sent and "sent" in repr(buffer)


def test_a_sent_buffer_can_be_neither_opened_nor_sent_again(rt):
    buffer = myrmidon.Buffer(4)
    assert received(rt, buffer) == bytes(4)
    other = rt.spawn(Inbox())
    for again in (
        lambda: memoryview(buffer),
        lambda: rt.send(other, buffer),
        lambda: rt.send_buffer(other, buffer),
        lambda: rt.send_many(other, [buffer]),
    ):
        with pytest.raises(BufferError, match="was sent"):
            again()


def test_without_a_view_the_receiver_gets_the_memory_itself(rt):
    buffer = myrmidon.Buffer(100_000)
    where = address(buffer)
    gc.collect()
    message = received(rt, buffer)
    assert address(message) == where


def test_a_view_that_is_alive_at_the_send_cannot_change_what_the_receiver_sees(rt):
    buffer = myrmidon.Buffer(4)
    view = memoryview(buffer)
    view[:] = b"sent"
    message = received(rt, buffer)
    view[:] = b"late"
    assert message == b"sent" and bytes(view) == b"late"
    with pytest.raises(BufferError):
        memoryview(buffer)
    view.release()
    with pytest.raises(BufferError):
        memoryview(buffer)


@pytest.mark.parametrize("send", ["send", "send_buffer"])
def test_a_dead_receiver_leaves_the_buffer_to_be_sent_to_another(rt, send):
    dead = rt.spawn(Inbox())
    rt.kill(dead)
    rt.join(dead)
    buffer = myrmidon.Buffer(1)
    assert not getattr(rt, send)(dead, buffer) and not getattr(rt, send)(0, buffer)
    assert not rt.send_named("nobody", buffer)
    assert not buffer.sent
    assert received(rt, buffer, send) == b"\0"


REJECTED = {
    "send": lambda rt, pid, buffer: rt.send(pid, buffer),
    "send_named": lambda rt, pid, buffer: rt.send_named("full", buffer),
    "send_many": lambda rt, pid, buffer: rt.send_many(pid, [buffer]),
    "send_buffer": lambda rt, pid, buffer: rt.send_buffer(pid, buffer),
    "send_blocking": lambda rt, pid, buffer: rt.send_blocking(pid, buffer, timeout=0.01),
    "ask_sync": lambda rt, pid, buffer: rt.ask_sync(pid, buffer),
    "ask": lambda rt, pid, buffer: asyncio.run(rt.ask(pid, buffer)),
}


@pytest.mark.parametrize("way", REJECTED)
@pytest.mark.parametrize("viewed", [False, True])
def test_a_full_mailbox_leaves_the_buffer_to_be_sent_later(rt, way, viewed):
    begun, gate, inbox = threading.Event(), threading.Event(), Inbox()

    def slow(message):
        begun.set()
        gate.wait(20)
        inbox(message)

    policy = "block" if way == "send_blocking" else "reject"
    pid = rt.spawn(slow, name="full", mailbox=myrmidon.Bounded(1, policy=policy), blocking=True)
    assert rt.send(pid, b"being handled")
    begun.wait(20)
    assert rt.send(pid, b"waits")
    buffer = myrmidon.Buffer(3)
    view = memoryview(buffer)
    view[:] = b"abc"
    if not viewed:
        view.release()
    for _ in range(2):
        try:
            assert not REJECTED[way](rt, pid, buffer)
        except errors.Busy:
            pass
        assert not buffer.sent
    with memoryview(buffer) as again:
        again[:2] = b"xy"
    gate.set()
    eventually(lambda: len(inbox) == 2)
    assert rt.send(pid, buffer) and buffer.sent
    eventually(lambda: len(inbox) == 3)
    assert inbox[2] == b"xyc"


def test_a_number_stays_that_of_a_buffer_which_a_full_mailbox_rejects(rt):
    begun, gate, inbox = threading.Event(), threading.Event(), Inbox()

    def slow(message):
        begun.set()
        gate.wait(20)
        inbox(message)

    pid = rt.spawn(slow, mailbox=myrmidon.Bounded(1), blocking=True)
    rt.send(pid, b"being handled")
    begun.wait(20)
    rt.send(pid, b"waits")
    number, view, _ = myrmidon.allocate_buffer(2)
    assert not rt.send_buffer(pid, number)
    view[:] = b"ok"
    view.release()
    gate.set()
    eventually(lambda: len(inbox) == 2)
    assert rt.send_buffer(pid, number)
    assert not rt.send_buffer(pid, number)
    assert not myrmidon.free_buffer(number)
    eventually(lambda: inbox[2:] == [b"ok"])


def test_buffers_that_were_not_sent_with_the_others_stay(rt):
    begun, gate = threading.Event(), threading.Event()

    def slow(message):
        begun.set()
        gate.wait(20)

    pid = rt.spawn(slow, mailbox=myrmidon.Bounded(2), blocking=True)
    rt.send(pid, b"being handled")
    begun.wait(20)
    buffers = [myrmidon.Buffer(1) for _ in range(4)]
    assert rt.send_many(pid, buffers) == 2
    assert [buffer.sent for buffer in buffers] == [True, True, False, False]
    gate.set()
    with pytest.raises(TypeError):
        rt.send_many(pid, [buffers[2], "no message"])
    with pytest.raises(BufferError):
        rt.send_many(pid, [buffers[2], buffers[0]])
    with pytest.raises(BufferError):
        rt.send_many(pid, [buffers[2], buffers[2]])
    assert [buffer.sent for buffer in buffers] == [True, True, False, False]
    assert rt.send_many(0, buffers[2:]) == 0
    assert not buffers[2].sent


def test_a_buffer_that_does_not_get_to_another_node_stays(make_runtime):
    here, there = make_runtime(), make_runtime(level=1)
    addr = there.listen("127.0.0.1:0")
    buffer = myrmidon.Buffer(2 << 20)
    with pytest.raises(errors.PayloadTooLarge):
        here.send_remote(addr, 1, buffer)
    assert not buffer.sent
    gone = make_runtime()
    gone_addr = gone.listen("127.0.0.1:0")
    gone.shutdown()
    eventually(lambda: not here.is_node_up(gone_addr))

    def refused():
        with contextlib.suppress(errors.NodeDown):
            small = myrmidon.Buffer(1)
            here.send_remote(gone_addr, 1, small)
            return False
        return not small.sent

    eventually(refused)


def test_a_timer_that_is_refused_takes_no_buffer(rt):
    pid, buffer = rt.spawn(print), myrmidon.Buffer(1)
    for refused in (
        lambda: rt.send_after(pid, -1, buffer),
        lambda: rt.send_after(pid, float("inf"), buffer),
        lambda: rt.send_after(0, 1, buffer),
        lambda: rt.send_interval(pid, 0, buffer),
        lambda: rt.send_interval(0, 1, buffer),
    ):
        with pytest.raises((ValueError, errors.NoProcess)):
            refused()
    rt.kill(pid)
    rt.join(pid)
    assert rt.send_after(pid, 1, buffer) == rt.send_interval(pid, 1, buffer) == 0
    assert not buffer.sent


def test_buffers_go_wherever_bytes_go(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox, name="inbox")
    rt.send_named("inbox", myrmidon.Buffer(1))
    rt.send_many(pid, [myrmidon.Buffer(2), b"three"])
    rt.send_after(pid, 0, myrmidon.Buffer(4))
    eventually(lambda: len(inbox) == 4)
    assert inbox == [bytes(1), bytes(2), b"three", bytes(4)]


def test_a_buffer_goes_to_another_node(pair):
    here, there, addr = pair
    inbox = Inbox()
    pid = there.spawn(inbox)
    buffer = myrmidon.Buffer(300_000)
    with memoryview(buffer) as view:
        view[-3:] = b"end"
    here.send_remote(addr, pid, buffer)
    eventually(lambda: inbox)
    assert buffer.sent and inbox == [bytes(299_997) + b"end"]


def test_a_buffer_that_nobody_sends_is_freed(rt):
    gone = []
    buffer = myrmidon.Buffer(10)
    weakref.finalize(buffer, gone.append, True)
    view = memoryview(buffer)
    del buffer
    gc.collect()
    assert not gone
    del view
    gc.collect()
    assert gone


@pytest.mark.parametrize("size", [-1, 2**62, 2**63, 2**64])
def test_a_size_that_is_no_size_is_refused(size):
    with pytest.raises((ValueError, MemoryError)):
        myrmidon.Buffer(size)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abcdef")[::2], b"ace"),
        (array.array("H", [1, 2]), array.array("H", [1, 2]).tobytes()),
        ((ctypes.c_ubyte * 3)(1, 2, 3), b"\1\2\3"),
    ],
    ids=["bytearray", "strided", "array", "ctypes"],
)
def test_a_copy_of_whatever_offers_its_memory_is_sent(rt, data, expected):
    assert received(rt, data) == expected


def test_what_is_sent_of_memory_that_can_change_is_how_it_was(rt):
    with mmap.mmap(-1, 4096) as mapped:
        mapped[:3] = b"old"
        inbox = Inbox()
        rt.send(rt.spawn(inbox), mapped)
        mapped[:3] = b"new"
        eventually(lambda: inbox)
    assert inbox[0][:3] == b"old"


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2], 2.5])
def test_what_offers_no_memory_is_no_message(rt, data):
    with pytest.raises(TypeError, match=type(data).__name__):
        rt.send(rt.spawn(Inbox()), data)


def test_numpy_fills_a_buffer_and_reads_a_message_without_a_copy(rt):
    numpy = pytest.importorskip("numpy")
    buffer = myrmidon.Buffer(8 * 1000)
    numbers = numpy.frombuffer(buffer, "f8")
    numbers[:] = numpy.arange(1000)
    where = numbers.ctypes.data
    del numbers
    message = received(rt, buffer)
    result = numpy.frombuffer(message, "f8")
    assert result.ctypes.data == where and result.sum() == 499_500
    assert received(rt, numpy.arange(3, dtype="u1")) == b"\0\1\2"


def test_pyarrow_reads_a_buffer_and_a_message_without_a_copy(rt):
    pyarrow = pytest.importorskip("pyarrow")
    buffer = myrmidon.Buffer(64)
    wrapped = pyarrow.py_buffer(buffer)
    assert wrapped.size == 64 and wrapped.is_mutable
    where = wrapped.address
    del wrapped
    message = received(rt, buffer)
    assert pyarrow.py_buffer(message).address == where
    assert received(rt, pyarrow.py_buffer(b"arrow")) == b"arrow"
