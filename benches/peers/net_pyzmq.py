"""Both sides of the net workloads of Python, with pyzmq: the same handlers, called by a loop."""

import sys
import time

import zmq
from net_common import SMALL, WARM_UP, check, message, say_rate, say_waits, tally


def serve(context: zmq.Context, work: str) -> None:
    pull, pair = context.socket(zmq.PULL), context.socket(zmq.PAIR)
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (pull, pair)]
    print(*ports, sep=",", flush=True)
    if work == "trip":
        while True:
            pair.send(pair.recv())
    received: list[bytes] = []

    def count(data: bytes) -> None:
        if len(data) == SMALL:
            received.append(data)
        elif data == b"?":
            # How many have come; the account of them takes time.
            pair.send(b"%d" % len(received))
        else:
            pair.send(tally(received))
            received.clear()

    while True:
        count(pull.recv())


def drive(context: zmq.Context, work: str, amount: int, addr: str) -> None:
    push, pair = context.socket(zmq.PUSH), context.socket(zmq.PAIR)
    for socket, port in zip((push, pair), addr.split(",")):
        socket.connect(f"tcp://127.0.0.1:{port}")
    if work == "trip":
        trips(pair, amount)
        return
    push.send(b"!")
    check([], pair.recv())
    messages = [message(number) for number in range(amount)]
    begun = time.perf_counter_ns()
    for each in messages:
        push.send(each)
    push.send(b"?")
    pair.recv()
    say_rate(amount, begun)
    push.send(b"!")
    check(messages, pair.recv())


def trips(pair: zmq.Socket, amount: int) -> None:
    waits = []
    for number in range(1, WARM_UP + amount + 1):
        sent = message(number)
        begun = time.perf_counter_ns()
        pair.send(sent)
        back = pair.recv()
        wait = time.perf_counter_ns() - begun
        if back != sent:
            raise SystemExit(f"message {number} came back changed")
        if number > WARM_UP:
            waits.append(wait)
    say_waits(waits)


def main() -> None:
    side, _, work, *rest = sys.argv[1:]
    context = zmq.Context()
    if side == "serve":
        serve(context, work)
    else:
        amount, addr = rest
        drive(context, work, int(amount), addr)
        context.destroy(linger=0)


main()
