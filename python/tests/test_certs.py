"""Clusters with certificates of their own, made with the command of the package."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import Inbox, eventually

from myrmidon import errors

SECURE = pytest.mark.parametrize("kind", ["tls", "quic"])


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


@SECURE
def test_nodes_of_one_cluster_talk(make_runtime, cluster, kind):
    one = make_runtime(kind, certs=cluster / "one")
    two = make_runtime(kind, certs=str(cluster / "two"))
    inbox = Inbox()
    two.register("service", two.spawn(inbox))
    addr = two.listen("127.0.0.1:0")
    pid = one.resolve_remote(f"two@{addr}", "service")
    one.send_remote(f"two@{addr}", pid, b"hello")
    eventually(lambda: inbox == [b"hello"])
    with pytest.raises(errors.NodeDown):
        one.resolve_remote(f"three@{addr}", "service")


@SECURE
def test_a_node_with_certificates_may_leave_loopback(make_runtime, cluster, kind):
    rt = make_runtime(kind, certs=cluster / "one")
    assert rt.listen("0.0.0.0:0").startswith("0.0.0.0:")


@SECURE
@pytest.mark.parametrize("stranger", ["stranger", None])
def test_strangers_are_refused(make_runtime, cluster, kind, stranger):
    one = make_runtime(kind, certs=cluster / "one")
    addr = one.listen("127.0.0.1:0")
    other = make_runtime(kind, certs=stranger and cluster / stranger, connect_timeout=2.0)
    assert not other.is_node_up(addr)
    with pytest.raises((errors.NodeDown, errors.Timeout)):
        other.resolve_remote(addr, "anything")


@SECURE
def test_certificates_that_do_not_serve_are_an_error_with_what_to_do(
    make_runtime, cluster, tmp_path, kind
):
    with pytest.raises(errors.StartError, match="myrmidon certs"):
        make_runtime(kind, certs=tmp_path)
    with pytest.raises(errors.StartError, match=kind):
        make_runtime("tcp", certs=cluster / "one")
