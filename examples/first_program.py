"""A first program: an actor with a name gets new code while it works.

It prints:

    hello, Ada
    hello, Grace
    goodbye, Grace
"""

import myrmidon


def greet(message: bytes) -> None:
    print("hello,", message.decode())


def part(message: bytes) -> None:
    print("goodbye,", message.decode())


with myrmidon.Runtime() as rt:
    greeter = rt.spawn(greet)
    rt.register("greeter", greeter)
    rt.send(greeter, b"Ada")
    rt.send_named("greeter", b"Grace")
    rt.hot_swap(greeter, part)  # takes its place behind the messages sent before it
    rt.send(greeter, b"Grace")
    rt.stop(greeter)
    rt.join(greeter)
