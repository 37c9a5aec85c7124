"""Both sides of the net workloads of Python, with myrmidon."""

import sys
import threading
import time

import myrmidon
from net_common import SMALL, WARM_UP, check, message, say_rate, say_waits, tally


def serve(rt: myrmidon.Runtime) -> None:
    received: list[bytes] = []

    def count(data: bytes) -> None:
        if len(data) == SMALL:
            received.append(data)
            return
        # Whoever drives asks how many have come, and then for the account of them, which takes time.
        what, pid, addr = data.decode().split()
        if what == "?":
            rt.send_remote(addr, int(pid), b"%d" % len(received))
        else:
            rt.send_remote(addr, int(pid), tally(received))
            received.clear()

    back = ("", 0)

    def echo(data: bytes) -> None:
        nonlocal back
        if len(data) == SMALL:
            rt.send_remote(*back, data)
        else:
            _, pid, addr = data.decode().split()
            back = (addr, int(pid))

    rt.register("count", rt.spawn(count))
    rt.register("echo", rt.spawn(echo))
    print(rt.listen("127.0.0.1:0"), flush=True)
    threading.Event().wait()


class Drive:
    def __init__(self, rt: myrmidon.Runtime, addr: str) -> None:
        self.rt, self.addr = rt, addr
        self.here = rt.listen("127.0.0.1:0")
        self.answer = b""
        self.answered = threading.Event()
        self.answers_to = rt.spawn(self.take_answer)

    def take_answer(self, data: bytes) -> None:
        self.answer = data
        self.answered.set()

    def find(self, name: str) -> int:
        pid = self.rt.resolve_remote(self.addr, name)
        if pid is None:
            raise SystemExit(f"nobody is called {name} there")
        return pid

    def ask(self, counter: int, what: str) -> bytes:
        self.answered.clear()
        self.rt.send_remote(self.addr, counter, f"{what} {self.answers_to} {self.here}".encode())
        if not self.answered.wait(60):
            raise SystemExit("no answer to what was counted")
        return self.answer

    def small(self, amount: int) -> None:
        counter = self.find("count")
        check([], self.ask(counter, "!"))
        messages = [message(number) for number in range(amount)]
        send, addr = self.rt.send_remote, self.addr
        begun = time.perf_counter_ns()
        for each in messages:
            send(addr, counter, each)
        self.ask(counter, "?")
        say_rate(amount, begun)
        check(messages, self.ask(counter, "!"))

    def trip(self, amount: int) -> None:
        echo = self.find("echo")
        waits: list[int] = []
        done = threading.Event()
        number = 0
        begun = 0
        sent = b""

        def travel(data: bytes) -> None:
            nonlocal number, begun, sent
            if number:
                wait = time.perf_counter_ns() - begun
                if data != sent:
                    print(f"message {number} came back changed", file=sys.stderr)
                    return
                if number > WARM_UP:
                    waits.append(wait)
            number += 1
            if number > WARM_UP + amount:
                done.set()
                return
            sent = message(number)
            begun = time.perf_counter_ns()
            self.rt.send_remote(self.addr, echo, sent)

        traveller = self.rt.spawn(travel)
        self.rt.send_remote(self.addr, echo, f"! {traveller} {self.here}".encode())
        self.rt.send(traveller, b"")
        if not done.wait(60):
            raise SystemExit("not every message came back")
        say_waits(waits)

    def resolve(self, amount: int) -> None:
        waits = []
        for _ in range(amount):
            begun = time.perf_counter_ns()
            self.find("echo")
            waits.append(time.perf_counter_ns() - begun)
        say_waits(waits)


def main() -> None:
    side, transport, work, *rest = sys.argv[1:]
    with myrmidon.Runtime(transport=transport) as rt:
        if side == "serve":
            serve(rt)
        else:
            amount, addr = rest
            getattr(Drive(rt, addr), work)(int(amount))


main()
