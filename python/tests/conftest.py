"""Fixtures: runtimes that end with their test."""

from collections.abc import Callable, Iterator

import pytest

import myrmidon

TRANSPORTS = ["tcp", "tls", "quic"]


@pytest.fixture
def rt() -> Iterator[myrmidon.Runtime]:
    with myrmidon.Runtime() as runtime:
        yield runtime


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_runtime() -> Iterator[Callable[..., myrmidon.Runtime]]:
    """Makes runtimes that are shut down at the end of the test."""
    made: list[myrmidon.Runtime] = []

    def make(*args: object, **kwargs: object) -> myrmidon.Runtime:
        made.append(myrmidon.Runtime(*args, **kwargs))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for runtime in made:
        runtime.shutdown()


@pytest.fixture
def pair(
    transport: str, make_runtime: Callable[..., myrmidon.Runtime]
) -> tuple[myrmidon.Runtime, myrmidon.Runtime, str]:
    """Two nodes of one transport, and the address of the second."""
    here, there = make_runtime(transport), make_runtime(transport)
    return here, there, there.listen("127.0.0.1:0")
