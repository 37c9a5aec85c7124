"""Class actors of other nodes: the same calls, with a PID from `remote`."""

import asyncio
import pickle
from dataclasses import dataclass

import pytest
from support import eventually

import myrmidon
from myrmidon import Actor, ActorRef, Options, Runtime
from myrmidon.errors import NoMethod, RemoteActorError, Unsupported


class Empty(Exception):
    pass


@myrmidon.message(tag="tests.remote.order")
@dataclass
class Order:
    id: int
    lines: tuple[str, ...]


class Shop(Actor, raises=(Empty,)):
    def __init__(self) -> None:
        self.orders: list[Order] = []

    def buy(self, order: Order) -> int:
        self.orders.append(order)
        return len(self.orders)

    def last(self) -> Order:
        if not self.orders:
            raise Empty("nothing was bought")
        return self.orders[-1]

    def burn(self) -> None:
        raise OSError("fire")


class Anything(Actor, codec="pickle"):
    def same(self, value: object) -> object:
        return value


def opened(pair: tuple[Runtime, Runtime, str]) -> ActorRef[Shop]:
    """A shop on the other node, seen from here."""
    here, there, addr = pair
    there.start_with(Options(name="shop"), Shop)
    return ActorRef(here, here.remote(addr, "shop"), Shop)


def test_calls_and_casts_go_to_another_node(pair: tuple[Runtime, Runtime, str]) -> None:
    shop, order = opened(pair), Order(7, ("tea", "milk"))
    assert shop.cast(Shop.buy, Order(6, ()))
    assert shop.call_sync(Shop.buy, order) == 2
    assert asyncio.run(shop.call(Shop.last)) == order


def test_exceptions_of_another_node_come_with_their_kind(pair: tuple[Runtime, Runtime, str]) -> None:
    shop = opened(pair)
    with pytest.raises(RemoteActorError, match="nothing was bought") as raised:
        shop.call_sync(Shop.last)
    assert raised.value.kind.endswith("Empty") and "in last" in raised.value.traceback
    assert shop.call_sync(Shop.buy, Order(1, ())) == 1, "the actor goes on"
    with pytest.raises(RemoteActorError, match="fire"):
        shop.call_sync(Shop.burn)
    eventually(lambda: not shop.is_alive)


def test_g13_another_node_can_call_nothing_but_public_methods(pair: tuple[Runtime, Runtime, str]) -> None:
    shop = opened(pair)
    with pytest.raises(NoMethod):
        shop.call_sync(Shop.started)
    with pytest.raises(RemoteActorError, match="no public method"):
        shop.rt.ask_sync(shop.pid, myrmidon.codec.encode([1, "__init__", [], {}]))
    assert shop.call_sync(Shop.buy, Order(1, ())) == 1


def test_g13_answers_are_unpickled_from_nodes_that_prove_who_they_are(
    transport: str, pair: tuple[Runtime, Runtime, str]
) -> None:
    here, there, addr = pair
    there.start_with(Options(name="anything"), Anything)
    anything = ActorRef(here, here.remote(addr, "anything"), Anything)
    if transport != "tcp":  # Both ends have certificates.
        assert anything.call_sync(Anything.same, range(3)) == range(3)
    else:
        with pytest.raises(Unsupported, match="certificates"):
            anything.call_sync(Anything.same, range(3))
        # Also where the answer would not be unpickled here.
        with pytest.raises(Unsupported, match=r"certificates.*pickle"):
            here.ask_sync(anything.pid, b"x")
        with pytest.raises(Unsupported, match=r"certificates.*pickle"):
            asyncio.run(here.ask(anything.pid, b"x"))
        assert there.ask_sync(there.whereis("anything") or 0, pickle.dumps([1, "same", [3], {}])) == pickle.dumps(3)
