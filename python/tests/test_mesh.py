"""Nodes that talk, over each transport."""

import threading
import time

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import errors


def test_listen_returns_the_bound_address(make_runtime, transport):
    rt = make_runtime(transport)
    addr = rt.listen("127.0.0.1:0")
    host, port = addr.rsplit(":", 1)
    assert host == "127.0.0.1"
    assert int(port) > 0
    assert rt.transport == transport


def test_a_name_resolves_and_messages_arrive_in_order(pair):
    here, there, addr = pair
    inbox = Inbox()
    pid = there.spawn(inbox)
    there.register("auth-service", pid)
    assert here.resolve_remote(addr, "auth-service") == pid
    sent = [b"%d" % number for number in range(2000)]
    for message in sent:
        here.send_remote(addr, pid, message)
    eventually(lambda: len(inbox) == len(sent))
    assert inbox == sent


def test_an_unknown_name_is_none(pair):
    here, _, addr = pair
    assert here.resolve_remote(addr, "nobody") is None


def test_a_large_message_arrives_whole_and_a_larger_one_is_refused(pair):
    here, there, addr = pair
    inbox = Inbox()
    pid = there.spawn(inbox)
    data = bytes(range(256)) * 4000
    here.send_remote(addr, pid, data)
    eventually(lambda: inbox)
    large = bytes(range(256)) * 12_000
    here.send_remote(addr, pid, large)
    here.send_remote(addr, pid, b"behind it")
    eventually(lambda: len(inbox) == 3)
    assert inbox == [data, large, b"behind it"]
    with pytest.raises(errors.PayloadTooLarge, match="split"):
        here.send_remote(addr, pid, bytes((64 << 20) + 1))


def test_a_remote_monitor_tells_of_one_actor_and_its_reason(pair):
    here, there, addr = pair

    def fragile(message):
        raise ValueError("as ordered")

    target = there.spawn(fragile)
    ends = []

    def watcher(message):
        if message == b"watch":
            here.monitor_remote(addr, target)
            here.send_remote(addr, target, b"go")
        else:
            ends.append((message.type_name, message.target_pid, message.reason))

    here.send(here.spawn(watcher), b"watch")
    eventually(lambda: ends)
    assert ends == [("EXIT", target, "exception")]
    assert here.is_node_up(addr)


@pytest.mark.parametrize("way", ["thread", "task", "async handler", "blocking"])
def test_a_remote_monitor_made_by_code_of_any_kind_belongs_to_its_actor(make_runtime, way):
    here, there = make_runtime(), make_runtime()
    addr = there.listen("127.0.0.1:0")
    target = there.spawn(lambda message: None)
    seen = Inbox()

    def thread(mailbox):
        here.monitor_remote(addr, target)
        seen(b"watching")
        for message in mailbox:
            seen(message)

    async def task(mailbox):
        here.monitor_remote(addr, target)
        seen(b"watching")
        async for message in mailbox:
            seen(message)

    def plain(message):
        if message == b"watch":
            here.monitor_remote(addr, target)
            seen(b"watching")
        else:
            seen(message)

    async def handler(message):
        plain(message)

    if way == "thread":
        here.spawn_with_mailbox(thread)
    elif way == "task":
        here.spawn_with_mailbox(task)
    else:
        pid = here.spawn(handler if way == "async handler" else plain, blocking=way == "blocking")
        here.send(pid, b"watch")
    eventually(lambda: seen == [b"watching"])
    # Nobody else's, such as this thread's next supervision.
    there.kill(target)
    eventually(lambda: len(seen) == 2)
    assert (seen[1].type_name, seen[1].target_pid) == ("EXIT", target)
    assert seen[1].reason in ("killed", "noproc"), "the monitor may have come there after the end"


def test_a_node_that_answers_is_up_and_one_that_is_gone_is_not(pair):
    here, there, addr = pair
    assert here.is_node_up(addr)
    there.shutdown()
    eventually(lambda: not here.is_node_up(addr))


def test_a_node_that_cannot_be_reached_is_a_connection_error(make_runtime, transport):
    rt = make_runtime(transport, connect_timeout=1.0, request_timeout=1.0)
    other = make_runtime(transport)
    addr = other.listen("127.0.0.1:0")
    other.shutdown()
    assert not rt.is_node_up(addr)
    with pytest.raises((ConnectionError, TimeoutError), match="check that the node runs there"):
        rt.resolve_remote(addr, "anything")


@pytest.mark.parametrize("addr", ["", "no port", "host:", "host:notaport", "1:2:3"])
def test_a_text_that_is_no_address_says_what_to_write(rt, addr):
    for call in (
        lambda: rt.listen(addr),
        lambda: rt.resolve_remote(addr, "x"),
        lambda: rt.is_node_up(addr),
        lambda: rt.send_remote(addr, 1, b""),
        lambda: rt.monitor_remote(addr, 1),
    ):
        with pytest.raises(errors.AddressError, match="host:port"):
            call()


def test_listening_twice_on_one_address_is_an_os_error(make_runtime, transport):
    rt, other = make_runtime(transport), make_runtime(transport)
    addr = rt.listen("127.0.0.1:0")
    with pytest.raises(errors.ListenError, match="port 0"):
        other.listen(addr)
    with pytest.raises(OSError):
        other.listen(addr)


def test_leaving_loopback_is_refused_with_what_to_do(make_runtime, transport):
    rt = make_runtime(transport)
    with pytest.raises(errors.ListenError) as refused:
        rt.listen("0.0.0.0:0")
    what_to_do = "allow_insecure_remote" if transport == "tcp" else "myrmidon certs issue"
    assert what_to_do in str(refused.value)
    with pytest.raises(errors.NodeDown) as refused_too:
        rt.resolve_remote("192.0.2.1:9000", "anything")
    assert what_to_do in str(refused_too.value)
    assert "check that the node runs" not in str(refused_too.value)


def test_a_peer_that_is_cut_off_is_logged(make_runtime, caplog):
    import logging
    import socket

    rt = make_runtime()
    host, port = rt.listen("127.0.0.1:0").rsplit(":", 1)
    with caplog.at_level(logging.WARNING, logger="myrmidon"):
        with socket.create_connection((host, int(port)), timeout=10) as peer:
            peer.sendall(b"\xff")
            eventually(lambda: caplog.records)
    assert caplog.records[0].name.startswith("myrmidon.")
    assert "cut off" in caplog.text


def test_plain_tcp_leaves_loopback_when_told_so(make_runtime):
    rt = make_runtime(allow_insecure_remote=True)
    assert rt.listen("0.0.0.0:0").startswith("0.0.0.0:")


def test_handlers_talk_to_other_nodes_and_wait_without_freezing_anybody(pair):
    here, there, addr = pair
    inbox, answers = Inbox(), Inbox()
    there.register("service", there.spawn(inbox))

    def handler(message):
        pid = here.resolve_remote(addr, "service")
        here.send_remote(addr, pid, message)
        answers.append(pid)

    pids = [here.spawn(handler) for _ in range(20)]
    for pid in pids:
        here.send(pid, b"x")
    eventually(lambda: len(inbox) == 20 and len(answers) == 20)
    assert len(set(answers)) == 1


def test_a_lost_node_is_told_to_the_owner_of_the_monitor(pair):
    """S28: the actor in whose handler the monitor was made."""
    here, there, addr = pair
    target = there.spawn(Inbox(), name="target")
    seen = Inbox()

    def handler(message):
        if message == b"watch":
            here.monitor_remote(addr, target)
            seen.append("watching")
        else:
            seen.append(message)

    here.send(here.spawn(handler), b"watch")
    eventually(lambda: seen == ["watching"])
    there.shutdown()
    eventually(lambda: len(seen) == 2, deadline=20)
    assert isinstance(seen[1], myrmidon.PySystemMessage)
    assert (seen[1].type_name, seen[1].target_pid) == ("EXIT", target)
    assert seen[1].reason == "noconnection"


def test_the_factory_reconnects_to_a_service_that_comes_back(transport, make_runtime):
    here, first = make_runtime(transport), make_runtime(transport)
    addr = first.listen("127.0.0.1:0")
    first.register("database", first.spawn(Inbox()))
    runs = []

    def factory():
        target = here.resolve_remote(addr, "database")
        assert target, "not yet"
        here.monitor_remote(addr, target)
        runs.append(target)
        return here.spawn(lambda message: here.send_remote(addr, target, message), name="proxy")

    proxy = factory()
    here.supervise_with_factory(proxy, factory, "RestartOne")
    assert here.child_pids() == [proxy]
    # Two pongs: from here on the end of the heartbeat lane is the end of the node.
    assert here.is_node_up(addr) and here.is_node_up(addr)
    first.shutdown()
    inbox = Inbox()
    second = make_runtime(transport)
    eventually(lambda: _listens(second, addr))
    second.register("database", second.spawn(inbox))
    eventually(lambda: len(runs) == 2, deadline=30)
    assert runs[0] != runs[1]
    eventually(lambda: here.send_named("proxy", b"again") and inbox)


def _listens(rt: myrmidon.Runtime, addr: str) -> bool:
    try:
        rt.listen(addr)
    except OSError:
        return False
    return True


def test_a_send_that_must_wait_lets_other_threads_run(make_runtime, transport):
    """L10: the bound, then Busy. A peer that never reads is a socket that nobody serves."""
    import socket

    if transport == "quic":
        pytest.skip("a silent peer is a plain socket")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = "127.0.0.1:%d" % silent.getsockname()[1]
        rt = make_runtime(send_timeout=0.3)
        ticks = [0]
        stop = threading.Event()

        def tick():
            while not stop.wait(0.001):
                ticks[0] += 1

        ticker = threading.Thread(target=tick)
        ticker.start()
        data = bytes(1 << 20)
        start = time.monotonic()
        with pytest.raises(errors.Busy):
            for _ in range(200):
                rt.send_remote(addr, 1, data)
        waited = time.monotonic() - start
        stop.set()
        ticker.join()
        assert waited >= 0.3
        assert ticks[0] > 20


def test_a_handler_that_waits_for_room_freezes_nobody(make_runtime):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = "127.0.0.1:%d" % silent.getsockname()[1]
        rt = make_runtime(send_timeout=1.0)
        events = []
        data = bytes(1 << 20)

        def flood(message):
            try:
                while True:
                    rt.send_remote(addr, 1, data)
            except errors.Busy:
                events.append("busy")

        ticks = rt.spawn(lambda message: events.append("tick"))
        rt.send_interval(ticks, 0.01, b"")
        rt.send(rt.spawn(flood), b"")
        eventually(lambda: "busy" in events)
        assert events.index("busy") >= 10
