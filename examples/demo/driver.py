"""The driver: makes the text and the certificates, starts three nodes, follows the plan, checks the outcome."""

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import corpus
import report
from processes import Node
from screen import Screen

MEGABYTES = 4
PASSES = 4  # over the text, at least, before the plan goes on to its next point
SERVICES = {"worker-a": ["counter-a1", "counter-a2"], "worker-b": ["counter-b1", "counter-b2"]}
VICTIM = "worker-b"
LOGS = Path(__file__).resolve().parents[2] / "build" / "logs"


class Failed(Exception):
    """The plan cannot go on, or something does not hold."""


def run(transport: str, deadline: float) -> int:
    screen = Screen()
    driver = Driver(transport, screen, time.time() + deadline)
    try:
        driver.follow_the_plan()
        return 0
    except Failed as failure:
        screen.event("driver", f"FAILED: {failure}", "red", "bold")
        driver.show_logs()
        return 1
    finally:
        driver.end_everything()


class Driver:
    def __init__(self, transport: str, screen: Screen, deadline: float):
        self.transport, self.screen, self.deadline = transport, screen, deadline
        self.events: queue.Queue = queue.Queue()
        self.latest: dict[tuple[str, str], dict] = {}
        self.nodes: dict[str, Node] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="myrmidon-demo-"))
        self.text = self.folder / "corpus.txt"
        self.state: dict = {"counted": 0, "nodes": {}, "processes": {}, "versions": {}, "held": {}}
        self.facts: dict = {"transport": transport}
        self.dying: set[int] = set()

    def follow_the_plan(self) -> None:
        self.make_text()
        self.make_certificates()
        self.start_cluster()
        self.count_with_first_version()
        self.swap_code()
        self.kill_a_worker()
        self.restart_it()
        self.finish()

    # -- the plan -----------------------------------------------------------------------------------------

    def make_text(self) -> None:
        corpus.write(self.text, MEGABYTES)
        self.direct = corpus.direct_count(self.text)
        self.chunks = len(corpus.chunks(self.text))
        self.facts["megabytes"] = self.text.stat().st_size / 1e6
        self.say(
            f"made a text of {self.facts['megabytes']:.1f} MB in {self.chunks} chunks; a direct count finds "
            f"{self.direct.total():,} words, {len(self.direct):,} of them different"
        )

    def make_certificates(self) -> None:
        """A certificate authority for this cluster, and one certificate for each node."""
        if self.transport != "quic":
            return
        ca = self.folder / "ca"
        self.myrmidon("certs", "init", "--cluster", "demo", "--ca-dir", ca)
        for name in ("coordinator", *SERVICES):
            self.myrmidon("certs", "issue", name, "--ca-dir", ca, "--out", self.folder / name)
        self.say("made a certificate authority and a certificate for each node")

    def start_cluster(self) -> None:
        for name in ("coordinator", *SERVICES):
            (LOGS / f"demo-{name}.log").unlink(missing_ok=True)
        self.start("coordinator", "coordinator.py", "--text", self.text, "--result", self.folder / "result.json")
        self.coordinator = self.wait_for("listening", "coordinator")["address"]
        self.addresses = {}
        for name in SERVICES:
            self.start_worker(name, "127.0.0.1:0", version=1)
        for name in SERVICES:
            self.addresses[name] = self.wait_for("listening", name)["address"]
        nodes = {name: {"address": self.addresses[name], "services": SERVICES[name]} for name in SERVICES}
        self.nodes["coordinator"].command("nodes", nodes=nodes)
        self.wait_until("every service is found by name", lambda: len(self.facts.get("found", ())) == 4)
        self.facts["counting_since"] = time.time()

    def count_with_first_version(self) -> None:
        self.wait_until("the first version counts", lambda: self.state["counted"] > PASSES * self.chunks)

    def swap_code(self) -> None:
        self.say("swap the workers' code while chunks flow: version 1 -> version 2", "yellow")
        self.nodes["coordinator"].command("swap", version=2)
        self.wait_until("both workers swapped", lambda: len(self.facts.get("swapped", ())) == 2)
        goal = self.state["counted"] + PASSES * self.chunks
        self.wait_until("the second version counts", lambda: self.state["counted"] > goal)

    def kill_a_worker(self) -> None:
        victim = self.nodes[VICTIM]
        self.wait_until(f"{VICTIM} holds chunks", lambda: self.state["held"].get(VICTIM, 0) > 0)
        self.dying.add(victim.pid)
        self.facts["victim"] = victim.pid
        self.facts["killed_at"] = time.time()
        victim.kill()
        held = self.state["held"][VICTIM]
        self.say(f"kill -9 {victim.pid} ({VICTIM}), which held about {held} chunks", "red")

    def restart_it(self) -> None:
        before = self.state["counted"]
        self.wait_until("the other worker goes on", lambda: self.state["counted"] > before + self.chunks // 4)
        self.start_worker(VICTIM, self.addresses[VICTIM], version=2)
        self.wait_for("listening", VICTIM)
        self.wait_until(
            f"the factories found the services of {VICTIM} again", lambda: self.facts.get("healed") == set(SERVICES[VICTIM])
        )
        process = str(self.nodes[VICTIM].pid)
        self.wait_until("the restarted worker counts", lambda: self.state["processes"].get(process, 0) > PASSES * self.chunks // 2)

    def finish(self) -> None:
        self.nodes["coordinator"].command("finish")
        self.wait_for("finished", "coordinator")
        self.facts["seconds"] = time.time() - self.facts["counting_since"]
        outcome = json.loads((self.folder / "result.json").read_text())
        self.facts["lost_in_flight"] = outcome["unanswered"].get(str(self.facts["victim"]), 0)
        self.facts["ended_well"] = all([node.end() for node in self.nodes.values()])
        checks = report.checks(outcome, self.direct, self.facts)
        report.show(self.screen, outcome, self.facts, checks)
        if broken := [text for text, holds in checks if not holds]:
            raise Failed("; ".join(broken))

    # -- processes ----------------------------------------------------------------------------------------

    def start(self, name: str, script: str, *arguments) -> None:
        options = ["--transport", self.transport]
        if self.transport == "quic":
            options += ["--certs", str(self.folder / name)]
        self.latest.pop((name, "listening"), None)  # of an earlier process under this name
        LOGS.mkdir(parents=True, exist_ok=True)
        self.nodes[name] = Node(name, script, [*options, *map(str, arguments)], self.events, LOGS)

    def start_worker(self, name: str, listen: str, version: int) -> None:
        options = ["--name", name, "--listen", listen, "--coordinator", self.coordinator, "--version", version]
        self.start(name, "worker.py", *options, *SERVICES[name])

    def myrmidon(self, *arguments) -> None:
        command = [sys.executable, "-m", "myrmidon", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failed(f"{' '.join(command[1:])}: {done.stderr.strip() or done.stdout.strip()}")

    def end_everything(self) -> None:
        for node in self.nodes.values():
            if node.popen.poll() is None:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self) -> None:
        for node in self.nodes.values():
            if text := node.log.read_text().strip():
                print(f"---- the end of {node.log}\n" + "\n".join(text.splitlines()[-30:]), file=sys.stderr)

    # -- events -------------------------------------------------------------------------------------------

    def wait_for(self, kind: str, name: str) -> dict:
        """The event of this kind from this node, once it has come."""
        self.wait_until(f"{name} says {kind!r}", lambda: (name, kind) in self.latest)
        return self.latest[name, kind]

    def wait_until(self, what: str, condition) -> None:
        """Take events until the condition holds; fail when a node ends unasked or time runs out."""
        while not condition():
            try:
                event = self.events.get(timeout=max(0.0, self.deadline - time.time()))
            except queue.Empty:
                raise Failed(f"time ran out while waiting until {what}") from None
            self.latest[event["from"], event["kind"]] = event
            getattr(self, "on_" + event["kind"])(event)

    def say(self, text: str, *styles: str) -> None:
        self.screen.event("driver", text, *styles)

    def told(self, event: dict, text: str, *styles: str) -> None:
        self.screen.event(event["from"], text, *styles, at=event.get("at"))

    def on_listening(self, event: dict) -> None:
        self.told(event, f"process {self.nodes[event['from']].pid} listens on {event['address']} ({self.transport})")

    def on_discovered(self, event: dict) -> None:
        self.told(event, f"found {event['service']!r} on {event['node']}: actor {event['pid']}")

    def on_connected(self, event: dict) -> None:
        service = event["service"]
        if service not in self.facts.setdefault("found", set()):
            self.facts["found"].add(service)
            return
        self.facts.setdefault("healed", set()).add(service)
        self.facts["healed_at"] = event["at"]
        self.told(event, f"found {service!r} on {event['node']} again; work goes on there", "green")

    def on_swapped(self, event: dict) -> None:
        self.facts.setdefault("swapped", set()).add(event["node"])
        self.told(event, f"{event['actors']} actors of {event['node']} run version {event['version']}", "yellow")

    def on_down(self, event: dict) -> None:
        self.facts.setdefault("noticed_at", event["noticed"])
        state = "up" if event["node_up"] else "down"
        self.told(
            event,
            f"lost {event['service']!r} ({event['node']} is {state}): {event['reissued']} chunks go out again",
            "red",
        )

    def on_overdue(self, event: dict) -> None:
        self.told(event, f"{event['chunks']} chunks were not acknowledged in time and go out again", "yellow")

    def on_progress(self, event: dict) -> None:
        previous, self.state = self.state, event
        seconds = event["at"] - previous["at"] if "at" in previous else 0
        rate = (event["counted"] - previous["counted"]) / seconds if seconds else 0
        self.screen.progress(report.progress_line(event, self.chunks, rate))

    def on_finished(self, event: dict) -> None:
        self.told(event, "the last pass is complete", "green")

    def on_said(self, event: dict) -> None:
        self.told(event, event["text"])

    def on_ended(self, event: dict) -> None:
        if event["process"] not in self.dying:
            raise Failed(f"{event['from']} ended unasked with status {event['status']}: see its log")
