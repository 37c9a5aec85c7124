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


FILES = """test_ask test_asking test_async_handlers test_pull_actors test_asyncio test_served_asks test_quick_asks
    test_async_class_actors test_swap test_loops""".split()
# A loop of uvloop that is left standing is not collected, as python.md says.
COLLECTED = "not a_loop_that_nobody_refers_to_is_collected"


@pytest.mark.parametrize("file", FILES)
def test_with_uvloop(file):
    path = Path(__file__).with_name(f"{file}.py")
    command = [sys.executable, "-X", "faulthandler", "-c", RUN, str(path), "-k", COLLECTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
