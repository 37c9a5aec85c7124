"""Checks the fields of a ``msgspec.Struct`` that came as bytes. Imported for those alone, as it needs msgspec."""

import dataclasses
import enum
import functools
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct, ValidationError, convert, defstruct
from msgspec.structs import asdict, fields

__all__ = ["checked"]

# Stands for a field that was not sent, and has a default.
_NOT_SENT = object()


def checked(cls: type[Struct]) -> Callable[[dict[str, Any]], object]:
    """What makes an object of ``cls`` of a dict of its fields, by their names as attributes.

    msgspec makes objects of raw data, which has the names and the form that the class has on the wire. Here the objects in
    the fields are made already, so they are looked at by a class of the same fields, of which those are opaque.
    """

    form = functools.cache(functools.partial(_form, cls))

    def make(sent: dict[str, Any]) -> object:
        known = form()
        seen = convert(sent, known)
        if known is cls:
            return seen
        values = asdict(seen)
        if not sent.keys() >= values.keys():
            values = {name: value for name, value in values.items() if value is not _NOT_SENT}
        return cls(**values)

    return make


def _form(cls: type[Struct]) -> type[Struct]:
    """The class of the same fields; the class itself where no other is needed. The types of the fields may be defined later
    than the class, so this is for its first object.
    """
    hints, named = get_type_hints(cls, include_extras=True), fields(cls)
    kinds = {field.name: _opaque(hints[field.name]) for field in named}
    config = cls.__struct_config__
    as_it_is = not config.array_like and cls.__struct_encode_fields__ == cls.__struct_fields__
    if as_it_is and all(kinds[name] is hints[name] for name in kinds):
        return cls
    return defstruct(
        cls.__name__,
        [(field.name, kinds[field.name], NODEFAULT if field.required else _NOT_SENT) for field in named],
        kw_only=True,
        forbid_unknown_fields=config.forbid_unknown_fields,
    )


def _opaque(kind: Any) -> Any:
    """A type in which every class whose objects travel under a tag is one of which msgspec knows nothing, but who its objects
    are. The type itself if it has none.
    """
    of = get_origin(kind)
    if _travels(of or kind):
        return _Opaque(kind.__name__, (), {"fits": functools.partial(_is, of or kind)})
    parts = get_args(kind)
    seen = tuple(_opaque(part) for part in parts)
    if all(new is old for new, old in zip(seen, parts, strict=True)):
        return kind
    if of in (Union, types.UnionType):
        return _Opaque(str(kind), (), {"fits": functools.partial(_is_any, seen)})
    if of is Annotated:
        return Annotated[(seen[0], *parts[1:])]
    return of[seen]


def _travels(kind: object) -> bool:
    if not isinstance(kind, type):
        return False
    cls: type[object] = kind
    return issubclass(cls, enum.Enum) or dataclasses.is_dataclass(cls) or hasattr(cls, "__struct_fields__")


class _Opaque(type):
    """The type of classes without objects of their own, which say themselves whose they are."""

    fits: Callable[[object], bool]

    def __instancecheck__(cls, value: object) -> bool:
        return cls.fits(value)


def _is(kind: type, value: object) -> bool:
    return isinstance(value, kind)


def _is_any(kinds: tuple[Any, ...], value: object) -> bool:
    for kind in kinds:
        try:
            convert(value, kind)
        except ValidationError:
            continue
        return True
    return False
