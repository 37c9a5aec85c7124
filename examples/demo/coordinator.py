"""The coordinator node: finds the services by name, keeps them busy, and counts each chunk once.

All of its state belongs to one actor, the collector: answers of the workers, news from the factories, commands
of the driver and the ticks of a timer are all messages to it, so there is nothing to lock.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import corpus
import messages
import myrmidon
from ledger import Ledger, Service

WINDOW = 8  # chunks that one counting actor may hold
PATIENCE = 1.5  # seconds until a chunk without an answer goes to somebody else
TICK = 0.1  # seconds


class Coordinator:
    def __init__(self, rt: myrmidon.Runtime, text: Path, result: Path):
        self.rt = rt
        self.chunks = corpus.chunks(text)
        self.result = result
        self.pid = rt.spawn(self.handle)
        self.leaving = threading.Event()
        rt.register("collector", self.pid)

    # -- finding the services, and finding them again ------------------------------------------------------

    async def discover(self, nodes: dict[str, dict]) -> None:
        """Resolve every service by name, then hand them to the collector under supervision."""
        self.nodes = nodes
        wanted = [(node, spec["address"], name) for node, spec in nodes.items() for name in spec["services"]]
        pids = await asyncio.gather(*(self.resolve(address, name) for _, address, name in wanted))
        self.ledger = Ledger(len(self.chunks), [Service(name, node, WINDOW) for node, _, name in wanted])
        self.totals: dict[int, Counter[str]] = {}
        self.versions: Counter[int] = Counter()
        self.by_process: Counter[tuple[str, int]] = Counter()
        self.fingerprints: dict[int, dict[int, int]] = {}
        # Which process serves a service, and the chunks taken back from a process that it never answered.
        self.process_of: dict[str, int] = {}
        self.unanswered: set[tuple[int, int]] = set()
        for (node, address, name), pid in zip(wanted, pids, strict=True):
            messages.tell_driver("discovered", node=node, service=name, pid=pid)
            self.supervise(node, address, name, pid)

    async def resolve(self, address: str, name: str) -> int:
        while (pid := await self.rt.resolve_remote_py(address, name)) is None:
            await asyncio.sleep(0.02)
        return pid

    def supervise(self, node: str, address: str, name: str, target: int) -> None:
        """A local proxy for a remote service; when the service is gone, the factory looks for its successor."""

        def connect(target: int) -> int:
            self.rt.monitor_remote(address, target)
            proxy = self.rt.spawn(lambda message: self.rt.send_remote(address, target, message))
            self.tell("connected", node=node, service=name, proxy=proxy)
            return proxy

        def factory() -> int:
            self.tell("down", node=node, service=name, at=time.time())
            while not self.leaving.is_set():
                try:
                    if found := self.rt.resolve_remote(address, name):
                        return connect(found)
                except myrmidon.MyrmidonError:
                    pass  # the node is still away
                time.sleep(0.05)
            raise SystemExit

        self.rt._inner.supervise_with_factory(connect(target), factory, "RestartOne")

    def tell(self, kind: str, **fields) -> None:
        self.rt.send(self.pid, messages.pack(kind, **fields))

    # -- the collector ------------------------------------------------------------------------------------

    def handle(self, message: bytes) -> None:
        event = messages.unpack(message)
        getattr(self, "on_" + event.pop("kind"))(**event)
        if not self.leaving.is_set():
            self.issue()

    def issue(self) -> None:
        for service, number in self.ledger.assign(time.time()):
            self.rt.send(service.proxy, messages.pack_chunk(number, self.chunks[number % len(self.chunks)]))

    def on_counted(self, chunk, service, node, process, version, counts) -> None:
        self.process_of[service] = process
        self.unanswered.discard((process, chunk))
        if not self.ledger.acknowledge(service, chunk):
            return
        self.versions[version] += 1
        self.by_process[node, process] += 1
        turn, index = divmod(chunk, len(self.chunks))
        self.totals.setdefault(turn, Counter()).update(counts)
        self.fingerprints.setdefault(index, {}).setdefault(version, hash(frozenset(counts.items())))
        if self.ledger.finished:
            self.finish()

    def on_connected(self, node, service, proxy) -> None:
        self.ledger.back(service, proxy)
        messages.tell_driver("connected", node=node, service=service)

    def on_down(self, node, service, at) -> None:
        taken_back = self.note(self.ledger.lost(service))
        up = self.rt.is_node_up(self.nodes[node]["address"])
        messages.tell_driver("down", node=node, service=service, noticed=at, reissued=taken_back, node_up=up)

    def on_swap(self, version) -> None:
        for spec in self.nodes.values():
            control = self.rt.resolve_remote(spec["address"], "control")
            self.rt.send_remote(spec["address"], control, messages.pack("swap", version=version))

    def on_swapped(self, node, version, actors) -> None:
        messages.tell_driver("swapped", node=node, version=version, actors=actors)

    def on_tick(self) -> None:
        if late := self.note(self.ledger.overdue(time.time(), PATIENCE)):
            messages.tell_driver("overdue", chunks=late)
        messages.tell_driver("progress", **self.progress())

    def on_finish(self) -> None:
        self.ledger.finish()

    def note(self, taken_back: list[tuple[str, int]]) -> int:
        """Remember which process each chunk was taken back from; how many there are."""
        self.unanswered.update((self.process_of.get(service, 0), number) for service, number in taken_back)
        return len(taken_back)

    def progress(self) -> dict:
        counted: Counter[str] = Counter()
        for (node, _), chunks in self.by_process.items():
            counted[node] += chunks
        return {
            "counted": self.ledger.tally["counted"],
            "nodes": counted,
            "processes": {str(process): chunks for (_, process), chunks in self.by_process.items()},
            "versions": self.versions,
            "held": {node: self.ledger.held_by(node) for node in self.nodes},
        }

    def finish(self) -> None:
        both = [seen for seen in self.fingerprints.values() if len(seen) > 1]
        outcome = {
            **self.progress(),
            "tally": self.ledger.tally,
            "totals": [self.totals[turn] for turn in sorted(self.totals)],
            "chunks": len(self.chunks),
            "compared": len(both),
            "disagreements": sum(len(set(seen.values())) > 1 for seen in both),
            "unanswered": Counter(str(process) for process, _ in self.unanswered),
        }
        self.leaving.set()
        self.result.write_text(json.dumps(outcome))
        messages.tell_driver("finished")


def main() -> None:
    arguments = parse()
    rt = myrmidon.Runtime(transport=arguments.transport, certs=arguments.certs)
    coordinator = Coordinator(rt, Path(arguments.text), Path(arguments.result))
    messages.tell_driver("listening", address=rt.listen("127.0.0.1:0"))
    for line in sys.stdin:
        command = messages.unpack(line)
        if command["kind"] == "nodes":
            asyncio.run(coordinator.discover(command["nodes"]))
            rt.send_interval(coordinator.pid, TICK, messages.pack("tick"))
        else:
            rt.send(coordinator.pid, line.encode())
    coordinator.leaving.set()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transport", required=True)
    parser.add_argument("--certs")
    parser.add_argument("--text", required=True)
    parser.add_argument("--result", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
