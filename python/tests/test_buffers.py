"""Buffers by number."""

import gc

import pytest
from support import Inbox, eventually

import myrmidon


def test_a_buffer_is_filled_in_place_and_arrives_as_bytes(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    buffer, view, capsule = myrmidon.allocate_buffer(1 << 20)
    assert len(view) == 1 << 20
    assert bytes(view[:4]) == b"\0\0\0\0"
    view[:5] = b"hello"
    assert rt.send_buffer(pid, buffer)
    eventually(lambda: inbox)
    assert type(inbox[0]) is bytes
    assert inbox[0] == b"hello" + bytes((1 << 20) - 5)
    assert "myrmidon.buffer" in repr(capsule)


def test_the_number_is_dead_after_the_send(rt):
    pid = rt.spawn(Inbox())
    buffer, view, _ = rt.allocate_buffer(16)
    del view
    assert rt.send_buffer(pid, buffer)
    assert not rt.send_buffer(pid, buffer)
    assert not myrmidon.free_buffer(buffer)
    assert not rt.send_buffer(pid, 12345)
    again, _, _ = rt.allocate_buffer(16)
    assert again != buffer
    assert not rt.send_buffer(pid, buffer)


def test_send_buffer_stop_join_handles_the_buffer(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    buffer, view, _ = rt.allocate_buffer(3)
    view[:] = b"abc"
    rt.send_buffer(pid, buffer)
    rt.stop(pid)
    rt.join(pid)
    assert inbox == [b"abc"]


def test_a_view_that_outlives_the_send_changes_nothing_for_the_receiver(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    buffer, view, _ = rt.allocate_buffer(4)
    view[:] = b"sent"
    rt.send_buffer(pid, buffer)
    view[:] = b"late"
    eventually(lambda: inbox)
    assert inbox == [b"sent"]
    assert bytes(view) == b"late"


def test_released_memory_is_handed_over_and_cannot_be_written_any_more(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    buffer, view, capsule = rt.allocate_buffer(4)
    view[:] = b"move"
    memory = view.obj
    view.release()
    rt.send_buffer(pid, buffer)
    eventually(lambda: inbox)
    with pytest.raises(BufferError, match="allocate"):
        memoryview(memory)
    del memory, capsule
    gc.collect()
    assert inbox == [b"move"]


def test_views_keep_the_memory_alive(rt):
    buffer, view, capsule = rt.allocate_buffer(1000)
    view[:] = b"x" * 1000
    part = view[10:20]
    assert myrmidon.free_buffer(buffer)
    del view, capsule
    gc.collect()
    assert bytes(part) == b"x" * 10


def test_a_dead_receiver_leaves_the_buffer_to_be_sent_to_another(rt):
    dead = rt.spawn(Inbox())
    rt.kill(dead)
    rt.join(dead)
    inbox = Inbox()
    buffer, view, _ = rt.allocate_buffer(1)
    view[0] = 7
    assert not rt.send_buffer(dead, buffer)
    assert not rt.send_buffer(0, buffer)
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    eventually(lambda: inbox == [b"\x07"])


def test_an_empty_buffer_is_a_buffer(rt):
    inbox = Inbox()
    buffer, view, _ = rt.allocate_buffer(0)
    assert len(view) == 0
    assert rt.send_buffer(rt.spawn(inbox), buffer)
    eventually(lambda: inbox == [b""])


@pytest.mark.parametrize("size", [-1, 2**62, 2**63, 2**64 - 1, 2**64])
def test_a_size_that_is_no_size_is_refused(size):
    with pytest.raises((OverflowError, ValueError, MemoryError)):
        myrmidon.allocate_buffer(size)
