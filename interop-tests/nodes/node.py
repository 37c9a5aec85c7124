"""A Python node for the interop tests, driven by lines (see src/node.rs)."""

from __future__ import annotations

import argparse
import sys
import threading
import time

import myrmidon


class Counter:
    """Counts numbered messages, and which code handled them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.expected = 0
        self.out_of_order = 0
        self.by_version = [0, 0]

    def count(self, message: object, version: int) -> None:
        if not isinstance(message, bytes):
            return
        number = int.from_bytes(message, "big")
        with self.lock:
            self.out_of_order += number != self.expected
            self.expected = number + 1
            self.by_version[version] += 1

    def first(self, message: object) -> None:
        self.count(message, 0)

    def second(self, message: object) -> None:
        self.count(message, 1)

    def report(self) -> str:
        with self.lock:
            first, second = self.by_version
            return f"{first + second} {self.out_of_order} {first} {second}"


class Node:
    """Carries out the commands; each returns its answer as text."""

    def __init__(self, transport: str, listen: str, certs: str | None, beyond_loopback: bool) -> None:
        self.rt = myrmidon.Runtime(
            transport=transport,
            certs=None if transport == "tcp" else certs,
            allow_insecure_remote=beyond_loopback and transport == "tcp",
        )
        self.counter = Counter()
        self.pid = self.rt.spawn(self.counter.first)
        self.rt.register("counter", self.pid)
        self.addr = self.rt.listen(listen)
        self.proxy: int | None = None
        self.made = 0

    def resolve(self, addr: str, name: str) -> str:
        return str(self.rt.resolve_remote(addr, name) or 0)

    def send(self, addr: str, pid: str, count: str, first: str) -> str:
        for number in range(int(first), int(first) + int(count)):
            self.rt.send_remote(addr, int(pid), number.to_bytes(8, "big"))
        return ""

    def counts(self) -> str:
        return self.counter.report()

    def swap(self) -> str:
        self.rt.hot_swap(self.pid, self.counter.second)
        return ""

    def up(self, addr: str) -> str:
        return str(self.rt.is_node_up(addr)).lower()

    def heal(self, addr: str, name: str) -> str:
        def factory() -> int:
            while True:
                try:
                    target = self.rt.resolve_remote(addr, name)
                    if target:
                        break
                except Exception as error:  # the peer is not back yet
                    print(f"not yet: {error}", file=sys.stderr)
                time.sleep(0.02)
            self.rt.monitor_remote(addr, target)
            self.proxy = self.rt.spawn(lambda message: self.rt.send_remote(addr, target, message))
            self.made += 1
            return self.proxy

        first = factory()
        self.rt._inner.supervise_with_factory(first, factory, "RestartOne")
        return ""

    def follow(self, addr: str, name: str) -> str:
        self.proxy = self.rt.remote(addr, name, follow=True)
        self.made += 1
        return ""

    def proxies(self) -> str:
        return str(self.made)

    def tell(self, number: str) -> str:
        try:
            told = self.proxy is not None and self.rt.send(self.proxy, int(number).to_bytes(8, "big"))
        except myrmidon.errors.NodeDown:
            told = False
        return str(told).lower()


    def crash(self) -> str:
        def fail(message: object) -> None:
            raise ValueError("as ordered")

        observer = self.rt.spawn_observed_handler()
        failing = self.rt.spawn(fail)
        self.rt.monitor(observer, failing)
        self.rt.send(failing, b"fail")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for message in self.rt.get_messages(observer):
                return " ".join(f"{message.reason}: {message.traceback}".split())
            time.sleep(0.005)
        raise TimeoutError("nobody told of the end")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--transport", required=True)
    arguments.add_argument("--listen", required=True)
    arguments.add_argument("--certs")
    arguments.add_argument("--beyond-loopback", choices=["yes", "no"], default="no")
    options = arguments.parse_args()
    node = Node(options.transport, options.listen, options.certs, options.beyond_loopback == "yes")
    print(f"ready {node.addr}", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "quit":
            return
        try:
            answer = "ok " + getattr(node, command)(*words)
        except Exception as error:
            answer = "error " + " ".join(str(error).split())
        print(answer.strip(), flush=True)


if __name__ == "__main__":
    main()
