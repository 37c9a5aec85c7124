"""A local actor stands for a remote service; when its node comes back, so does the connection.

It prints:

    the database got b'first'
    the node has gone
    the database got b'second'
"""

import queue
import time

import myrmidon

got: queue.Queue = queue.Queue()


def start_database(address: str) -> tuple[myrmidon.Runtime, str]:
    node = myrmidon.Runtime()
    node.register("database", node.spawn(got.put))
    return node, node.listen(address)


node, address = start_database("127.0.0.1:0")
rt = myrmidon.Runtime()


def connect() -> int:
    """Find the service, watch it, and return a local actor that forwards to it."""
    while True:
        try:
            target = rt.resolve_remote(address, "database")
        except myrmidon.MyrmidonError:
            target = None  # nobody listens there yet
        if target:
            rt.monitor_remote(address, target)
            pid = rt.spawn(lambda message: rt.send_remote(address, target, message))
            rt.register("proxy", pid)
            return pid
        time.sleep(0.05)


# Whenever the proxy ends or the node of the service is lost, `connect` runs again.
rt.supervise_with_factory(connect(), connect, "RestartOne")

rt.send_named("proxy", b"first")
print("the database got", got.get(timeout=10))

node.shutdown()
print("the node has gone")
node, address = start_database(address)

deadline = time.monotonic() + 30
while got.empty() and time.monotonic() < deadline:
    rt.send_named("proxy", b"second")  # at most once: what is lost is not sent again for you
    time.sleep(0.05)
print("the database got", got.get(timeout=10))

rt.shutdown()
node.shutdown()
