"""Plain data as bytes, in MessagePack: how arguments and results of class actors travel.

The set of types is closed: ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``list``,
``tuple``, ``dict``, ``set``, ``frozenset``, and classes that both sides have registered under a tag.
What comes in can make nothing but these; it never imports a module and runs no code but the
constructors of registered classes.

>>> from dataclasses import dataclass
>>> from myrmidon import codec
>>> @codec.message(tag="geometry.point")
... @dataclass(frozen=True)
... class Point:
...     x: int
...     y: int
>>> codec.decode(codec.encode([Point(1, 2), (3, 4)]))
[Point(x=1, y=2), (3, 4)]
"""

import dataclasses
import enum
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from myrmidon import _core

__all__ = ["decode", "encode", "message"]

_C = TypeVar("_C", bound=type)

# How many different values of one Flag are made of what comes in.
_MOST_COMBINATIONS = 65_536


def encode(value: object) -> bytes:
    """The bytes of plain data.

    Raises ``CodecError`` for objects of other classes, subclasses of these types included, for
    data nested deeper than 32, for more than 65 536 containers and objects, and where more than 64 keys of a dict or
    items of a set have the same hash: for all that ``decode`` refuses, but objects whose fields do not fit their class,
    which only their class can tell where they are made.
    """
    return _core.encode(value)


def decode(data: bytes) -> Any:
    """The data in bytes that ``encode`` made, in this process or another.

    Raises ``CodecError`` for anything else: bytes of another form, tags that are not registered here,
    fields from which a registered class cannot be made, more than 65 536 containers.
    """
    return _core.decode(data)


def message(*, tag: str) -> Callable[[_C], _C]:
    """Registers a class under ``tag``, by which its objects travel: a dataclass, an ``Enum``, or a
    ``msgspec.Struct``, whose fields are then checked against their types.

    Of a dataclass the fields travel that its constructor takes; those with ``init=False`` are made anew. Its other parameters,
    such as an ``InitVar``, need defaults. A ``Flag`` travels if it is a combination of its members, of which one class
    can be made in 65 536 ways. What other classes the fields of a ``Struct`` name must be registered too.

    The tag is what both sides have to agree on; the module and the name of the class may differ. A class
    with the same module and name may take the place of an earlier one, as when a module is reloaded.

    Raises ``ValueError`` if another class has the tag or it is empty, ``TypeError`` for any other kind of class, and
    for a dataclass that cannot be made of its fields.
    """
    _check_tag(tag)

    def register(cls: _C) -> _C:
        fields, make = _form(cls)
        holder = _MAKERS.get(tag)
        if holder is not None and _title(holder) != _title(cls):
            raise ValueError(f"tag {tag!r} is that of {_title(holder)}: give {_title(cls)} another")
        _MAKERS[tag] = cls
        _core.register_type(cls, tag, fields, make)
        return cls

    return register


def _check_tag(tag: object) -> None:
    if not isinstance(tag, str) or not tag:
        raise (ValueError if tag == "" else TypeError)(f"a tag is a text that both sides know, not {tag!r}")


# The classes by their tags.
_MAKERS: dict[str, type] = {}


def _title(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _form(cls: Any) -> tuple[tuple[str, ...], Callable[[dict[str, Any]], object]]:
    """The fields that travel, and what makes an object of them."""
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls)
    if issubclass(cls, enum.Flag):  # Several together have no name.
        return ("value",), _combination(cls)
    if issubclass(cls, enum.Enum):
        return ("name",), lambda fields: cls[fields["name"]]
    struct_fields: tuple[str, ...] | None = getattr(cls, "__struct_fields__", None)
    if struct_fields is not None:
        from myrmidon._structs import checked  # Who has a Struct has msgspec.

        return struct_fields, checked(cls)
    raise TypeError(f"{cls!r} is no dataclass, Enum or msgspec.Struct: make it one, or send plain data")


def _dataclass(cls: Any) -> tuple[tuple[str, ...], Callable[[dict[str, Any]], object]]:
    names = tuple(field.name for field in dataclasses.fields(cls) if field.init)
    construct: Callable[..., object] = cls
    try:
        inspect.signature(cls).bind(**dict.fromkeys(names))
    except TypeError as error:
        raise TypeError(
            f"{_title(cls)} cannot be made of its fields ({error}): give it no __init__ of its own, and its InitVars defaults"
        ) from None
    return names, lambda fields: construct(**fields)


def _combination(cls: Any) -> Callable[[dict[str, Any]], object]:
    """What makes flags of their value. A class keeps every one that was ever made, so it makes no more of what others
    send than its members give, and of those only so many.
    """
    every = 0
    for member in cls.__members__.values():
        every |= int(member.value)
    made: dict[int, object] = cls._value2member_map_

    def make(fields: dict[str, Any]) -> object:
        value = fields["value"]
        if value.__class__ is not int or value & ~every:
            raise ValueError(f"{value!r} is no combination of the members of {cls.__name__}")
        if value not in made and len(made) >= _MOST_COMBINATIONS:
            raise ValueError(f"{cls.__name__} has been made of {_MOST_COMBINATIONS} values already")
        return cls(value)

    return make
