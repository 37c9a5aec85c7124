"""How arguments and results of class actors become bytes."""

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

from myrmidon import codec as plain
from myrmidon.errors import CodecError

__all__ = ["CODECS", "ActorCodec"]


class ActorCodec(NamedTuple):
    """How arguments and results become bytes and come back."""

    encode: Callable[[object], bytes]
    decode: Callable[[bytes], Any]
    # Whether what is decoded can run code, so that it must come from somebody who is known.
    trusts: bool


def _pickle(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise CodecError(f"a {type(value).__name__} cannot be pickled: {error}") from error


def _unpickle(data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except Exception as error:
        raise CodecError(f"the bytes are no pickle of this program: {error}") from error


CODECS = {
    "plain": ActorCodec(plain.encode, plain.decode, trusts=False),
    "pickle": ActorCodec(_pickle, _unpickle, trusts=True),
}
