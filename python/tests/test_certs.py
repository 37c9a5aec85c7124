"""Clusters with certificates of their own, made with the command of the package."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import Inbox, eventually

from myrmidon import errors


def certs(*args: object) -> None:
    command = [sys.executable, "-m", "myrmidon", "certs", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nodes `one` and `two` of one cluster and `stranger` of another."""
    here = tmp_path_factory.mktemp("certs")
    for name, nodes in (("prod", ["one", "two"]), ("other", ["stranger"])):
        certs("init", "--cluster", name, "--ca-dir", here / name)
        for node in nodes:
            certs("issue", node, "--ca-dir", here / name, "--out", here / node)
    return here


def test_nodes_of_one_cluster_talk(make_runtime, cluster):
    one = make_runtime("quic", certs=cluster / "one")
    two = make_runtime("quic", certs=str(cluster / "two"))
    inbox = Inbox()
    two.register("service", two.spawn(inbox))
    addr = two.listen("127.0.0.1:0")
    pid = one.resolve_remote(f"two@{addr}", "service")
    one.send_remote(f"two@{addr}", pid, b"hello")
    eventually(lambda: inbox == [b"hello"])
    with pytest.raises(errors.NodeDown):
        one.resolve_remote(f"three@{addr}", "service")


def test_a_node_with_certificates_may_leave_loopback(make_runtime, cluster):
    rt = make_runtime("quic", certs=cluster / "one")
    assert rt.listen("0.0.0.0:0").startswith("0.0.0.0:")


@pytest.mark.parametrize("stranger", ["stranger", None])
def test_strangers_are_refused(make_runtime, cluster, stranger):
    one = make_runtime("quic", certs=cluster / "one")
    addr = one.listen("127.0.0.1:0")
    other = make_runtime("quic", certs=stranger and cluster / stranger, connect_timeout=2.0)
    assert not other.is_node_up(addr)
    with pytest.raises((errors.NodeDown, errors.Timeout)):
        other.resolve_remote(addr, "anything")


def test_certificates_that_do_not_serve_are_an_error_with_what_to_do(make_runtime, cluster, tmp_path):
    with pytest.raises(errors.StartError, match="myrmidon certs"):
        make_runtime("quic", certs=tmp_path)
    with pytest.raises(errors.StartError, match="quic"):
        make_runtime("tcp", certs=cluster / "one")
