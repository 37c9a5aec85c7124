"""Everything about event loops once more in another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvloop")

RUN = """
import asyncio, sys, warnings
import pytest, uvloop
warnings.simplefilter("ignore", DeprecationWarning)
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
assert isinstance(asyncio.new_event_loop(), uvloop.Loop)
sys.exit(pytest.main([*sys.argv[1:], "-q", "-p", "no:cacheprovider"]))
"""


@pytest.mark.parametrize(
    "file", ["test_ask.py", "test_asking.py", "test_async_handlers.py", "test_pull_actors.py", "test_asyncio.py"]
)
def test_with_uvloop(file):
    path = Path(__file__).with_name(file)
    command = [sys.executable, "-X", "faulthandler", "-c", RUN, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
