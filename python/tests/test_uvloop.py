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
# uvloop keeps a loop that has run, as python.md says.
COLLECTED = "not a_loop_that_nobody_refers_to_is_collected"


def test_uvloop_itself_keeps_a_loop_that_has_run():
    """Without anything of ours. Where this fails, python.md is to say that such a loop is collected, as others are."""
    program = """
import asyncio, gc, uvloop, weakref
loop = uvloop.new_event_loop()
loop.run_until_complete(asyncio.sleep(0))
kept = weakref.ref(loop)
del loop
gc.collect()
print(kept() is not None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True"]


@pytest.mark.parametrize("file", FILES)
def test_with_uvloop(file):
    path = Path(__file__).with_name(f"{file}.py")
    command = [sys.executable, "-X", "faulthandler", "-c", RUN, str(path), "-k", COLLECTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
