"""An observed actor keeps what it gets: data as bytes, news of the runtime as system messages. It prints:

    data: b'hello'
    EXIT of the worker: exception, ValueError: not a number
"""

import time

import myrmidon


def worker(message: bytes) -> None:
    raise ValueError("not a number")


with myrmidon.Runtime() as rt:
    observer = rt.spawn_observed_handler(10)
    pid = rt.spawn(worker)
    rt.send(observer, b"hello")
    rt.monitor(observer, pid)
    rt.send(pid, b"x")

    seen: list = []
    while len(seen) < 2:
        seen += rt.get_messages(observer)
        time.sleep(0.01)

    for message in seen:
        if isinstance(message, myrmidon.PySystemMessage):
            print(f"{message.type_name} of the worker: {message.reason}, {message.metadata}")
        else:
            print("data:", message)
