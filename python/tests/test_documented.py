"""The programs of the project's first description, as they were printed, with addresses filled in.

Each runs with the transport left out, over "tcp" and over "quic".
"""

import asyncio
import doctest
import time

import pytest
from support import Inbox, eventually

import myrmidon


@pytest.fixture(params=[None, "tcp", "quic"])
def arguments(request):
    return {} if request.param is None else {"transport": request.param}


def test_async_service_discovery(make_runtime, arguments):
    server = make_runtime(**arguments)
    inbox = Inbox()
    server.register("auth-service", server.spawn(inbox))
    listening = server.listen("127.0.0.1:0")
    rt = make_runtime(**arguments)

    async def find_and_query():
        # Resolve a remote service PID without blocking the asyncio loop
        addr = listening
        target_pid = await rt.resolve_remote_py(addr, "auth-service")

        if target_pid:
            rt.send_remote(addr, target_pid, b"verify_token")

    asyncio.run(find_and_query())
    eventually(lambda: inbox == [b"verify_token"])


def test_structured_system_messages(make_runtime, arguments, capsys):
    rt = make_runtime(**arguments)
    observer_pid = rt._inner.spawn_observed_handler(10)
    crashing = rt.spawn(lambda message: 1 // 0)
    rt.monitor(observer_pid, crashing)
    rt.ping(observer_pid, crashing)
    rt.send(observer_pid, b"payload")
    rt.send(crashing, b"x")
    messages = []
    eventually(lambda: messages.extend(rt._inner.get_messages(observer_pid)) or len(messages) == 3)

    for msg in messages:
        if isinstance(msg, myrmidon.PySystemMessage):
            if msg.type_name == "EXIT":
                print(f"Actor {msg.target_pid} has crashed!")
            elif msg.type_name == "PING":
                pass  # Ignore heartbeats
        else:
            print(f"User Data: {msg.decode()}")

    assert sorted(capsys.readouterr().out.splitlines()) == [
        f"Actor {crashing} has crashed!",
        "User Data: payload",
    ]


def test_hot_swapping_logic(make_runtime, arguments):
    rt = make_runtime(**arguments)
    printed = []

    def behavior_a(msg):
        printed.append("Logic A")

    def behavior_b(msg):
        printed.append("Logic B (Upgraded!)")

    pid = rt.spawn(behavior_a, budget=10)
    rt.send(pid, b"test")  # Prints "Logic A"

    # Atomic swap to behavior_b
    rt.hot_swap(pid, behavior_b)
    rt.send(pid, b"test")  # Prints "Logic B (Upgraded!)"

    eventually(lambda: len(printed) == 2)
    assert printed == ["Logic A", "Logic B (Upgraded!)"]


def test_self_healing_supervisor(make_runtime, arguments):
    rt, server = make_runtime(**arguments), make_runtime(**arguments)
    addr = server.listen("127.0.0.1:0")
    server.register("database", server.spawn(Inbox()))
    proxies = []

    def connection_factory():
        """Polls for a remote service and returns a local proxy actor."""
        while True:
            try:
                target = rt.resolve_remote(addr, "database")
                if target:
                    rt.monitor_remote(addr, target)
                    # Return a new handler that forwards messages
                    proxies.append(rt.spawn(lambda msg: rt.send_remote(addr, target, msg)))
                    return proxies[-1]
            except Exception:
                time.sleep(0.05)

    proxy_pid = connection_factory()

    # If the connection drops, this factory is automatically re-run
    rt._inner.supervise_with_factory(proxy_pid, connection_factory, "RestartOne")

    assert rt._inner.child_pids() == [proxy_pid]
    assert rt._inner.children_count() == 1
    # Two pongs: from here on the end of the heartbeat lane is the end of the node.
    assert rt.is_node_up(addr) and rt.is_node_up(addr)
    server.shutdown()
    inbox = Inbox()
    again = make_runtime(**arguments)

    def listens():
        try:
            return again.listen(addr)
        except OSError:
            return False

    eventually(listens)
    again.register("database", again.spawn(inbox))
    eventually(lambda: len(proxies) == 2, deadline=30)
    eventually(lambda: rt.send(proxies[-1], b"query") and inbox)


def test_the_names_that_programs_rely_on(make_runtime, arguments):
    rt = make_runtime(**arguments)
    methods = """spawn send send_named register unregister resolve whereis listen resolve_remote
        resolve_remote_py send_remote monitor_remote is_node_up hot_swap send_buffer stop join is_alive
        spawn_observed_handler get_messages supervise_with_factory watch child_pids children_count"""
    for name in methods.split():
        for where in (rt, rt._inner):
            method = getattr(where, name)
            assert callable(method)
            assert method.__doc__, name
    assert callable(myrmidon.allocate_buffer)
    assert callable(myrmidon.version)


def test_the_example_of_the_package_runs():
    result = doctest.testmod(myrmidon)
    assert result.failed == 0
    assert result.attempted > 0
