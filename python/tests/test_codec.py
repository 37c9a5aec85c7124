"""Plain data as bytes, and bytes that are none."""

import enum
import math
import random
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any

import msgspec
import pytest

from myrmidon import codec
from myrmidon.errors import CodecError


@codec.message(tag="tests.point")
@dataclass(frozen=True)
class Point:
    x: int
    y: float
    label: str = ""
    cached: int = field(default=0, init=False, compare=False)


@codec.message(tag="tests.color")
class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


@codec.message(tag="tests.access")
class Access(enum.Flag):
    READ = 1
    WRITE = 2


@codec.message(tag="tests.order")
class Order(msgspec.Struct):
    id: int
    where: Point
    lines: list[str] = []


VALUES: list[Any] = [
    *(Color.RED, Access.READ, Access.READ | Access.WRITE, Access(0)),
    *(None, True, False, 0.0, -1.5, math.inf, "", "ä€😀", "x" * 31, "x" * 32, "x" * 256, "x" * 70_000, b"", b"\0" * 300),
    *(sign * (2**power + offset) for sign in (1, -1) for power in (0, 5, 7, 8, 15, 16, 31, 32, 62, 63, 64, 200)
      for offset in (-1, 0, 1)),
    *([], [1, [2, [3]]], list(range(20)), list(range(70_000)), (), (1, (2,)), {}, {"a": 1, 2: b"c", (1, 2): None}),
    *({str(number): number for number in range(20)}, set(), {1, "a"}, frozenset({(1, 2)}), bytes(70_000)),
    *(Point(1, 2.5), [Point(1, 2.0, "p")], Color.BLUE, {"order": Order(7, Point(0, 0.0), ["a"])}),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{str(value)[:20]}")
def test_data_comes_back_as_it_was(value: Any) -> None:
    back = codec.decode(codec.encode(value))
    assert back == value
    assert type(back) is type(value)


def test_it_is_messagepack() -> None:
    value = {"a": [1, -1, 2**40, 1.5, None, True, "text", b"bytes"], "b": {}}
    assert msgspec.msgpack.decode(codec.encode(value)) == value
    assert codec.decode(msgspec.msgpack.encode(value)) == value


def test_what_is_not_plain_is_refused() -> None:
    class Sneaky(int):
        pass

    for value in (
        *(object(), Sneaky(1), OrderedDict(), namedtuple("T", "a")(1), print, int, 1j, range(3), bytearray(), Exception()),
        *([object()], {"a": {1: lambda: None}}, "\ud800"),
    ):
        with pytest.raises(CodecError):
            codec.encode(value)


def test_l22_depth_is_bounded_both_ways() -> None:
    deep: list[Any] = []
    for _ in range(31):
        deep = [deep]
    assert codec.decode(codec.encode(deep)) == deep
    with pytest.raises(CodecError, match="deeper"):
        codec.encode([deep])
    with pytest.raises(CodecError, match="deeper"):
        codec.decode(b"\x91" * 33 + b"\xc0")
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CodecError, match="deeper"):
        codec.encode(loop)


@codec.message(tag="tests.box")
@dataclass(frozen=True)
class Box:
    content: object


@pytest.mark.parametrize(
    "around",
    [lambda x: [x], lambda x: (x,), lambda x: {"a": x}, lambda x: frozenset([x]), Box],
    ids=["list", "tuple", "dict", "frozenset", "object"],
)
@pytest.mark.parametrize("core", [1, 2**70])
def test_l22_what_is_encoded_can_be_decoded_up_to_the_depth(around: Callable[[Any], Any], core: int) -> None:
    def nested(depth: int) -> Any:
        value: Any = core
        for _ in range(depth):
            value = around(value)
        return value

    for depth in (31, 32):
        assert codec.decode(codec.encode(nested(depth))) == nested(depth)
    with pytest.raises(CodecError, match="deeper"):
        codec.encode(nested(33))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\xc1", b"\xa5abc", b"\xc0\xc0", b"\xd9", b"\xa1\xff", b"\x92\x01", b"\x81\x01"),
        *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x81\x90\x01"),
        *(b"\xc7\x01\x63\xc0", b"\xc7\x01\x02\xc0", b"\xc7\x02\x02\x90\xc0", b"\xc7\x02\x04\x91\x90", b"\xd4\x01\xc0"),
    ],
)
def test_bytes_that_are_no_data_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        codec.decode(data)


@pytest.mark.parametrize("one", [[], (), {}, frozenset(), Box(1), [2**70]], ids=lambda one: type(one).__name__)
def test_l22_what_is_encoded_holds_no_more_containers_than_are_decoded(one: Any) -> None:
    most = [one] * 65_535
    assert codec.decode(codec.encode(most)) == most
    with pytest.raises(CodecError, match="65536"):
        codec.encode([*most, one])


def test_l22_containers_are_bounded() -> None:
    with pytest.raises(CodecError, match="containers"):
        codec.decode(b"\xdd\x00\x02\x00\x00" + b"\x90" * 0x20000)


@pytest.mark.parametrize("kind", ["dict", "set", "frozenset"])
def test_l22_keys_made_to_hash_alike_are_refused(kind: str) -> None:
    def alike(number: int) -> Any:
        keys = [sys.hash_info.modulus * factor for factor in range(1, number + 1)]
        return {"dict": dict.fromkeys, "set": set, "frozenset": frozenset}[kind](keys)

    for data in (alike(64), {"a": alike(64), "b": alike(64)}, dict.fromkeys(range(1000)), set(map(str, range(1000)))):
        assert codec.decode(codec.encode(data)) == data
    with pytest.raises(CodecError, match="alike"):
        codec.encode(alike(65))
    pairs = b"".join(codec.encode(key) + b"\xc0" for key in [sys.hash_info.modulus * factor for factor in range(65)])
    with pytest.raises(CodecError, match="alike"):
        codec.decode(b"\xde\x00\x41" + pairs)


def test_a20_random_bytes_make_nothing_but_data_or_errors() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        data = bytearray(codec.encode([Point(1, 2.0), {"a": (1, 2)}, {3}, "text", 2**70]))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            codec.decode(bytes(data))
        except CodecError:
            pass


def test_a20_tags_name_registered_classes_only() -> None:
    data = codec.encode(Point(1, 2.0)).replace(b"tests.point", b"posix.abort")
    with pytest.raises(CodecError, match="no class is registered"):
        codec.decode(data)
    with pytest.raises(ValueError, match="give .* another"):
        codec.message(tag="tests.point")(Color)
    with pytest.raises(TypeError):
        codec.message(tag="tests.plain")(object)
    codec.message(tag="tests.point")(Point)  # Again: as when a module is reloaded.


def test_fields_are_checked_by_who_makes_the_object() -> None:
    data = codec.encode(Point(1, 2.0)).replace(b"label", b"lapel")
    with pytest.raises(CodecError, match="tests.point"):
        codec.decode(data)
    wrong = codec.encode(Order(7, "nowhere"))  # type: ignore[arg-type]
    with pytest.raises(CodecError, match="where"):
        codec.decode(wrong)
    with pytest.raises(CodecError, match="GREEN"):
        codec.decode(codec.encode(Color.RED).replace(b"\xa3RED", b"\xa5GREEN").replace(b"\xc7\x16", b"\xc7\x18"))


@pytest.mark.parametrize(("tag", "error"), [("", ValueError), (5, TypeError), (None, TypeError)])
def test_a_tag_is_a_text(tag: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="a tag is a text"):
        codec.message(tag=tag)


def test_flags_that_are_not_known_are_refused() -> None:
    with pytest.raises(CodecError, match="cannot be made"):
        codec.decode(codec.encode(Access.READ)[:-1] + b"\x40")


@codec.message(tag="tests.large_order")
class LargeOrder(Order):
    rush: bool = False


@codec.message(tag="tests.camel")
class Camel(msgspec.Struct, rename="camel"):
    its_color: Color = Color.RED
    last_order: Order | Color | None = None


@codec.message(tag="tests.row")
class Row(msgspec.Struct, array_like=True, tag="row", kw_only=True, frozen=True):
    by_color: dict[Color, list[tuple[Point, ...]]]
    access: Annotated[set[Access], msgspec.Meta(max_length=2)] = set()
    orders: "Sequence[Later]" = []
    anything: Any = None


@codec.message(tag="tests.later")
class Later(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0)] = 0


@pytest.mark.parametrize(
    "value",
    [
        *(Camel(Color.BLUE), Camel(last_order=Color.RED), Camel(last_order=LargeOrder(1, Point(1, 2.0), rush=True))),
        *(Row(by_color={Color.RED: [(Point(1, 2.0),)], Color.BLUE: []}, access={Access.READ | Access.WRITE}),),
        *(Row(by_color={}, orders=[Later(1)], anything=Color.RED), Later(7)),
    ],
)
def test_structs_come_back_as_they_were_in_whatever_form_msgspec_gives_them(value: Any) -> None:
    back = codec.decode(codec.encode(value))
    assert back == value and type(back) is type(value)
    for name in value.__struct_fields__:
        assert type(getattr(back, name)) is type(getattr(value, name))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        *((Camel("r"), "its_color"), (Camel(last_order=Point(1, 2.0)), "last_order"), (Later(-1), "number")),  # type: ignore[arg-type]
        (Row(by_color={Color.RED: [(Color.RED,)]}), "by_color"),  # type: ignore[dict-item]
        (Row(by_color={}, access=set(map(Access, range(4)))), "access"),
    ],
)
def test_fields_of_structs_that_are_of_another_type_are_refused(value: Any, where: str) -> None:
    with pytest.raises(CodecError, match=where):
        codec.decode(codec.encode(value))


def test_fields_of_structs_that_were_not_sent_have_their_defaults() -> None:
    fields = {"its_color": Color.BLUE}
    sent = codec.encode("tests.camel") + codec.encode(fields)
    assert codec.decode(b"\xc7%c\x01" % len(sent) + sent) == Camel(Color.BLUE)
    sent = codec.encode("tests.later") + codec.encode({"numbers": 1})
    with pytest.raises(CodecError, match="numbers"):
        codec.decode(b"\xc7%c\x01" % len(sent) + sent)


def test_a_dataclass_that_cannot_be_made_of_its_fields_is_refused_at_once() -> None:
    @dataclass
    class Needs:
        x: int
        y: InitVar[int]

    @dataclass
    class Own:
        x: int

        def __init__(self, other: int) -> None:
            self.x = other

    for cls in (Needs, Own):
        with pytest.raises(TypeError, match="cannot be made of its fields"):
            codec.message(tag="tests.unmakable")(cls)


def test_g11_flags_of_others_make_no_more_members_than_the_class_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    @codec.message(tag="tests.int_flags")
    class Flags(enum.IntFlag):
        A, B, C = 1, 2, 4

    def sent(value: Any) -> bytes:
        content = codec.encode("tests.int_flags") + codec.encode({"value": value})
        return b"\xc7%c\x01" % len(content) + content

    assert codec.decode(sent(7)) == Flags.A | Flags.B | Flags.C
    before = len(Flags._value2member_map_)
    for value in (8, 1000, -9, 2**70, "A", 1.0, None):
        with pytest.raises(CodecError, match="no combination"):
            codec.decode(sent(value))
    assert len(Flags._value2member_map_) == before
    monkeypatch.setattr(codec, "_MOST_COMBINATIONS", before)
    assert codec.decode(sent(7)) == Flags(7)
    with pytest.raises(CodecError, match="already"):
        codec.decode(sent(6))
