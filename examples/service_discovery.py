"""Find an actor on another node by its name, without blocking the event loop, and send to it.

Both nodes live in this process here; another process or machine needs no other code. It prints:

    nobody is called 'no-such-service'
    auth-service got b'verify_token'
"""

import asyncio
import threading

import myrmidon


async def find_and_query(rt: myrmidon.Runtime, address: str) -> None:
    if await rt.resolve_remote_py(address, "no-such-service") is None:
        print("nobody is called 'no-such-service'")
    target = await rt.resolve_remote_py(address, "auth-service")
    if target:
        rt.send_remote(address, target, b"verify_token")


with myrmidon.Runtime() as server, myrmidon.Runtime() as client:
    answered = threading.Event()

    def auth(message: bytes) -> None:
        print("auth-service got", message)
        answered.set()

    server.register("auth-service", server.spawn(auth))
    address = server.listen("127.0.0.1:0")
    asyncio.run(find_and_query(client, address))
    answered.wait(10)
