"""The types of the package, as mypy and pyright (by way of basedpyright) see them."""

import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[1]


def check(*command: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", *command], cwd=PYTHON, capture_output=True, text=True, timeout=170, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.timeout(180)
def test_mypy_finds_nothing() -> None:
    check("mypy", "--strict", "myrmidon", "tests/typing/cases.py")


@pytest.mark.timeout(180)
def test_pyright_finds_nothing() -> None:
    check("basedpyright", "--pythonpath", sys.executable, "--warnings", "myrmidon", "tests/typing/cases.py")
