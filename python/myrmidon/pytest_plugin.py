"""Fixtures for pytest, which loads this by itself. The only module that needs pytest."""

from collections.abc import Generator

import pytest

from myrmidon.runtime import Runtime
from myrmidon.testing import checked

__all__ = ["actor_runtime"]


@pytest.fixture
def actor_runtime(request: pytest.FixtureRequest) -> Generator[Runtime, None, None]:
    """A ``Runtime`` for one test. The test fails if it leaves actors behind, or if an actor ends by an
    exception of which nobody is told; ``@pytest.mark.actors(leaks=False, errors=False)`` allows it to.
    """
    marker = request.node.get_closest_marker("actors")
    allowed: dict[str, bool] = dict(marker.kwargs) if marker else {}
    if marker and (marker.args or not allowed.keys() <= {"leaks", "errors"}):
        raise pytest.UsageError("write @pytest.mark.actors(leaks=False), or errors=False, or both")
    with Runtime() as rt, checked(rt, **allowed):
        yield rt


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "actors(leaks=True, errors=True): what the fixture actor_runtime checks after the test"
    )
