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
from collections.abc import Callable
from typing import Any, TypeVar

from myrmidon import _core

__all__ = ["decode", "encode", "message"]

_C = TypeVar("_C", bound=type)


def encode(value: object) -> bytes:
    """The bytes of plain data.

    Raises ``CodecError`` for objects of other classes, subclasses of these types included, for
    data nested deeper than 32, for more than 65 536 containers and objects, and where more than 64 keys of a dict or
    items of a set have the same hash: for all that ``decode`` refuses.
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

    The tag is what both sides have to agree on; the module and the name of the class may differ. A class
    with the same module and name may take the place of an earlier one, as when a module is reloaded.

    Raises ``ValueError`` if another class has the tag or it is empty, ``TypeError`` for any other kind of class.
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
    construct: Callable[..., object] = cls
    if dataclasses.is_dataclass(cls):
        names = tuple(field.name for field in dataclasses.fields(cls) if field.init)
        return names, lambda fields: construct(**fields)
    if issubclass(cls, enum.Flag):  # Several together have no name.
        return ("value",), lambda fields: construct(fields["value"])
    if issubclass(cls, enum.Enum):
        return ("name",), lambda fields: cls[fields["name"]]
    struct_fields: tuple[str, ...] | None = getattr(cls, "__struct_fields__", None)
    if struct_fields is not None:
        return struct_fields, _checked_struct(cls)
    raise TypeError(f"{cls!r} is no dataclass, Enum or msgspec.Struct: make it one, or send plain data")


def _checked_struct(cls: Any) -> Callable[[dict[str, Any]], object]:
    from msgspec import convert  # Who has a Struct has it.

    def make(fields: dict[str, Any]) -> object:
        return convert(fields, cls)

    return make
