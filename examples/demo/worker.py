"""A worker node: counting actors under names, and a control actor that swaps their code."""

import argparse
import os
import sys
import time

import counting
import messages
import myrmidon


def main() -> None:
    arguments = parse()
    rt = myrmidon.Runtime(transport=arguments.transport, certs=arguments.certs)
    collector = find(rt, arguments.coordinator, "collector")

    def counter(service: str, version: int):
        """A handler of one chunk: count its words, answer with the chunk's number."""
        count = counting.VERSIONS[version]

        def handle(message: bytes) -> None:
            number, text = messages.unpack_chunk(message)
            answer = messages.pack(
                "counted",
                chunk=number,
                service=service,
                node=arguments.name,
                process=os.getpid(),
                version=version,
                counts=count(text),
            )
            rt.send_remote(arguments.coordinator, collector, answer)

        return handle

    def control(message: bytes) -> None:
        """Put the counting actors on another version of their code, while they work."""
        version = messages.unpack(message)["version"]
        for service, pid in pids.items():
            rt.hot_swap(pid, counter(service, version))
        answer = messages.pack("swapped", node=arguments.name, version=version, actors=len(pids))
        rt.send_remote(arguments.coordinator, collector, answer)

    pids = {name: rt.spawn(counter(name, arguments.version), budget=8) for name in arguments.services}
    for service, pid in pids.items():
        rt.register(service, pid)
    rt.register("control", rt.spawn(control))
    messages.tell_driver("listening", address=rt.listen(arguments.listen), process=os.getpid())
    sys.stdin.read()  # the driver closes it to end us, and so does its death


def find(rt: myrmidon.Runtime, address: str, name: str) -> int:
    """The PID behind a name on another node, as soon as it has one."""
    while (pid := rt.resolve_remote(address, name)) is None:
        time.sleep(0.02)
    return pid


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--transport", required=True)
    parser.add_argument("--certs")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--coordinator", required=True)
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("services", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    main()
