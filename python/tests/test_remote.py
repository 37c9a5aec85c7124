"""Actors of other nodes behind PIDs of this one, over each transport."""

import asyncio
import subprocess
import sys
import textwrap
import threading

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import errors


def test_a_proxy_takes_messages_in_order_and_timers_and_names(pair):
    here, there, addr = pair
    inbox = Inbox()
    pid = there.spawn(inbox, name="svc")
    proxy = here.remote(addr, "svc")
    assert proxy != pid
    assert here.is_remote(proxy)
    assert here.is_alive(proxy)
    assert here.remote(addr, pid) == proxy
    sent = [b"%d" % number for number in range(2000)]
    for message in sent:
        assert here.send(proxy, message)
    eventually(lambda: len(inbox) == len(sent))
    assert inbox == sent
    here.register("alias", proxy)
    assert here.send_named("alias", b"named")
    here.send_after(proxy, 0.01, b"later")
    eventually(lambda: inbox[-2:] == [b"named", b"later"])
    with pytest.raises(errors.Unsupported, match="another node"):
        here.hot_swap(proxy, print)


def test_monitors_links_and_stops_reach_the_other_node(pair):
    here, there, addr = pair

    def fragile(message):
        raise ValueError(message.decode())

    observer = here.spawn_observed_handler()
    target = there.spawn(fragile)
    proxy = here.remote(addr, target)
    here.monitor(observer, proxy)
    assert here.link(observer, proxy)
    here.send(proxy, b"as ordered")
    told = []
    eventually(lambda: told.extend(here.get_messages(observer)) or len(told) == 2)
    assert {message.reason for message in told} == {"exception"}
    assert {message.target_pid for message in told} == {proxy}
    assert all("as ordered" in message.traceback for message in told)
    eventually(lambda: not here.is_alive(proxy))
    assert here.send(proxy, b"x") is False

    inbox = Inbox()
    proxy = here.remote(addr, there.spawn(inbox))
    for number in range(100):
        here.send(proxy, b"%d" % number)
    here.monitor(observer, proxy)
    assert here.stop(proxy)
    told = []
    eventually(lambda: told.extend(here.get_messages(observer)) or told)
    assert [message.reason for message in told] == ["normal"]
    assert len(inbox) == 100
    proxy = here.remote(addr, there.spawn(inbox))
    here.monitor(observer, proxy)
    assert here.kill(proxy)
    told = []
    eventually(lambda: told.extend(here.get_messages(observer)) or told)
    assert [message.reason for message in told] == ["killed"]


def test_an_actor_puts_its_own_reference_into_a_message(pair):
    here, there, addr = pair
    here.listen("127.0.0.1:0")
    inbox = Inbox()
    me = here.spawn(inbox)

    def service(message):
        there.send(there.remote(message.decode()), b"thank you")

    proxy = here.remote(addr, there.spawn(service))
    here.send(proxy, here.ref(me).encode())
    eventually(lambda: inbox == [b"thank you"])
    assert here.remote(here.ref(me)) == me
    assert there.remote(here.ref(proxy)) != proxy
    assert not there.is_remote(there.remote(here.ref(proxy)))


def test_remote_py_does_not_block_the_loop(pair):
    here, there, addr = pair
    there.spawn(print, name="svc")

    async def main():
        first, second = await asyncio.gather(
            here.remote_py(addr, "svc"), here.remote_py(addr, "nobody"), return_exceptions=True
        )
        assert first == here.remote(addr, "svc")
        assert isinstance(second, errors.NoProcess)

    asyncio.run(main())


def test_what_cannot_be_found_says_why(pair, make_runtime, transport):
    here, _, addr = pair
    with pytest.raises(errors.NoProcess, match="nobody has the name"):
        here.remote(addr, "nobody")
    with pytest.raises(errors.AddressError, match="is no reference"):
        here.remote("myrmidon://rubbish")
    with pytest.raises(errors.AddressError, match="host:port"):
        here.remote("no address", "x")
    with pytest.raises(TypeError, match="name"):
        here.remote(addr, 1.5)
    with pytest.raises(errors.NoProcess):
        here.ref(0)
    with pytest.raises(errors.AddressError):
        make_runtime(transport, advertised="nowhere")
    for nowhere in ("0.0.0.0:9000", "[::]:9000", "db.example.org:0"):
        with pytest.raises(errors.AddressError, match="advertised"):
            make_runtime(transport, advertised=nowhere)
    advertised = make_runtime(transport, advertised="db.example.org:9000")
    assert advertised.ref(advertised.spawn(print)).startswith("myrmidon://db.example.org:9000/")


def test_a_node_lets_nobody_end_its_actors_from_afar_where_it_says_so(make_runtime, transport):
    here, there = make_runtime(transport), make_runtime(transport, remote_exits=False)
    addr = there.listen("127.0.0.1:0")
    pid = there.spawn(lambda message: message, name="svc")
    proxy = here.remote(addr, "svc")
    for end in (here.kill, here.stop, lambda actor: here.exit(actor, "out")):
        end(proxy)
        assert here.ask_sync(proxy, b"still here", timeout=10) == b"still here"
    assert there.is_alive(pid)


def test_a_level_1_peer_takes_messages_and_refuses_links(make_runtime):
    here, there = make_runtime(), make_runtime(level=1)
    addr = there.listen("127.0.0.1:0")
    inbox = Inbox()
    proxy = here.remote(addr, there.spawn(inbox))
    assert here.send(proxy, b"plain")
    eventually(lambda: inbox == [b"plain"])
    with pytest.raises(errors.Unsupported, match="documented framing"):
        here.link(here.spawn(print), proxy)


PROCESS = """
    import sys, myrmidon
    rt = myrmidon.Runtime(transport=sys.argv[1])
    def echo(message):
        reference, text = message.split(b" ", 1)
        rt.send(rt.remote(reference.decode()), text)
    rt.spawn(echo, name="echo")
    print(rt.listen("127.0.0.1:0"), flush=True)
    sys.stdin.read()
"""


def test_a_proxy_of_another_process_answers_and_tells_of_its_end(make_runtime, transport):
    here = make_runtime(transport, down_after=2.0, heartbeat=0.2)
    here.listen("127.0.0.1:0")
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), transport]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        proxy = here.remote(other.stdout.readline().strip(), "echo")
        inbox = Inbox()
        me = here.ref(here.spawn(inbox)).encode()
        for number in range(500):
            here.send(proxy, me + b" %d" % number)
        eventually(lambda: len(inbox) == 500, 30.0)
        assert inbox == [b"%d" % number for number in range(500)]
        observer = here.spawn_observed_handler()
        here.monitor(observer, proxy)
        here.link(observer, proxy)
        other.kill()
        told = []
        eventually(lambda: told.extend(here.get_messages(observer)) or len(told) == 2, 30.0)
        assert [message.reason for message in told] == ["noconnection"] * 2
    finally:
        other.kill()
        other.communicate()


def test_a_lost_node_is_an_error_of_send(make_runtime, transport):
    for _ in range(10):
        here, there = make_runtime(transport, connect_timeout=1.0), make_runtime(transport)
        proxy = here.remote(there.listen("127.0.0.1:0"), there.spawn(print))
        # Perhaps before it knows that the link is up.
        there.shutdown()
        eventually(lambda: not here.is_alive(proxy))
        assert here.send(proxy, b"x") is False
        here.shutdown()


def test_the_largest_message_is_told(pair):
    here, there, addr = pair
    proxy = here.remote(addr, there.spawn(print))
    with pytest.raises(errors.PayloadTooLarge, match="split"):
        here.send(proxy, bytes((64 << 20) + 1))
    assert isinstance(here, myrmidon.Runtime)


def test_l12_a_bounded_mailbox_loses_nothing_of_what_another_node_was_told_is_taken(pair):
    here, there, addr = pair
    for policy in ("block", "reject"):
        gate, inbox = threading.Event(), Inbox()

        def slow(message, gate=gate, inbox=inbox):
            gate.wait()
            inbox(message)

        pid = there.spawn(slow, mailbox=myrmidon.Bounded(10, policy), blocking=True)
        proxy = here.remote(addr, pid)
        sent = [b"%d" % number for number in range(3000)]
        assert all(here.send(proxy, message) for message in sent)
        eventually(lambda pid=pid: there.mailbox_size(pid) > 10)
        gate.set()
        eventually(lambda inbox=inbox, sent=sent: len(inbox) == len(sent))
        assert inbox == sent
    assert there.dead_letters()["full"] == 0


def test_l10_send_blocking_waits_for_room_on_the_way_to_a_node_as_long_as_it_is_told(make_runtime, transport):
    here, there = make_runtime(transport, send_timeout=0.05), make_runtime(transport)
    gate, got = threading.Event(), []

    def slow(message):
        gate.wait()
        got.append(len(message))

    proxy = here.remote(there.listen("127.0.0.1:0"), there.spawn(slow, blocking=True))
    large, largest = bytes(100_000), bytes((64 << 20) + 1)
    for send in (here.send_blocking, lambda pid, data: here.send_many(pid, [data, b"behind it"])):
        with pytest.raises(errors.PayloadTooLarge, match="split"):
            send(proxy, largest)
    assert here.send_many(proxy, [b"one", largest, b"two"]) == 1
    filled = 0
    with pytest.raises(errors.Busy, match="node of actor"):
        while here.send_many(proxy, [large]):
            filled += 1
            assert filled < 10_000
    with pytest.raises(errors.Busy, match="node of actor"):
        here.send_blocking(proxy, large, timeout=0.01)
    outcome = []
    waiting = threading.Thread(target=lambda: outcome.append(here.send_blocking(proxy, b"last")))
    waiting.start()
    for _ in range(3):
        # Each waits for `send_timeout`.
        with pytest.raises(errors.Busy):
            while here.send(proxy, large):
                filled += 1
    assert waiting.is_alive()
    gate.set()
    waiting.join(20)
    assert outcome == [True]
    eventually(lambda: len(got) == filled + 2, 30.0)
    there.shutdown()
    eventually(lambda: not here.is_alive(proxy))
    assert here.send_blocking(proxy, b"x") is False
    assert here.send_many(proxy, [b"x"]) == 0


def test_what_only_the_other_node_can_do_is_refused(pair):
    here, there, addr = pair
    pid = there.spawn(print)
    proxy, second, own = here.remote(addr, pid), here.remote(addr, there.spawn(print)), here.spawn(print)
    for refused in (
        lambda: here.monitor(proxy, own),
        lambda: here.monitor_nodes(proxy),
        lambda: here.trap_exit(proxy, True),
        lambda: here.link(proxy, second),
        lambda: here.info(proxy),
        lambda: here.bonds(proxy),
    ):
        with pytest.raises(errors.Unsupported, match="another node"):
            refused()


@pytest.mark.parametrize("target", [True, 1.0, b"name", [1]])
def test_a_target_of_another_type_is_refused(make_runtime, target):
    with pytest.raises(TypeError, match="has a name"):
        make_runtime().remote("127.0.0.1:1", target)


@pytest.mark.parametrize("target", [0, -1, 2**64, 10**30])
def test_a_number_that_is_no_pid_is_nobody(make_runtime, target):
    with pytest.raises(errors.NoProcess, match="nobody's PID"):
        make_runtime().remote("127.0.0.1:1", target)


def test_a_followed_name_leads_to_its_next_owner(pair):
    here, there, addr = pair
    first, second = Inbox(), Inbox()
    pid = there.spawn(first, name="svc")
    proxy = here.remote(addr, "svc", follow=True)
    assert here.remote(addr, "svc", follow=True) == proxy
    assert asyncio.run(here.remote_py(addr, "svc", follow=True)) == proxy
    assert here.send(proxy, b"one")
    eventually(lambda: first == [b"one"])
    observer = here.spawn_observed_handler()
    here.monitor(observer, proxy)
    there.kill(pid)
    told = []
    eventually(lambda: told.extend(here.get_messages(observer)) or told)
    assert [message.target_pid for message in told] == [proxy]
    assert here.send(proxy, b"two")
    there.spawn(second, name="svc")
    eventually(lambda: second == [b"two"])
    for target in (pid, None):
        with pytest.raises(TypeError, match="only a name"):
            here.remote(addr, target, follow=True)
    with pytest.raises(errors.NoProcess):
        here.remote(addr, "nobody", follow=True)
    assert here.unfollow(proxy)
    assert not here.unfollow(proxy)
    assert here.send(proxy, b"three") is False
