"""What the demo's figures rest on: its books, its text, and its two versions of the counting code.

The demo itself runs by `make demo`, and in the continuous integration over both transports.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "demo"))

import corpus
import counting
from ledger import Ledger, Service


@pytest.fixture
def ledger():
    services = [Service("a", "node-1", window=2, proxy=1), Service("b", "node-2", window=2, proxy=2)]
    return Ledger(chunks=3, services=services)


def handed_out(ledger, now=0.0):
    return [(service.name, number) for service, number in ledger.assign(now)]


def test_a_service_holds_at_most_its_window(ledger):
    assert handed_out(ledger) == [("a", 0), ("a", 1), ("b", 2), ("b", 3)]
    assert handed_out(ledger) == []


def test_a_lost_service_gets_nothing_and_its_chunks_go_to_others(ledger):
    handed_out(ledger)
    assert ledger.lost("a") == [("a", 0), ("a", 1)]
    ledger.acknowledge("b", 2)
    assert handed_out(ledger) == [("b", 0)]
    ledger.back("a", proxy=3)
    assert handed_out(ledger) == [("a", 1), ("a", 4)]


def test_an_overdue_chunk_goes_to_others_until_its_service_answers(ledger):
    handed_out(ledger, now=0.0)
    ledger.acknowledge("b", 2)
    ledger.acknowledge("b", 3)
    assert ledger.overdue(now=2.0, patience=1.5) == [("a", 0), ("a", 1)]
    assert handed_out(ledger, now=2.0) == [("b", 0), ("b", 1)]
    assert ledger.acknowledge("a", 0), "late, but the first answer for this chunk"
    assert ("a", 4) in handed_out(ledger, now=2.0)


def test_a_chunk_counts_once(ledger):
    handed_out(ledger)
    assert ledger.acknowledge("a", 0)
    assert not ledger.acknowledge("b", 0)
    assert ledger.tally["counted"] == ledger.tally["duplicates"] == 1


def test_finishing_completes_the_pass_that_has_begun(ledger):
    handed_out(ledger)
    ledger.finish()
    for number in (0, 1, 2, 3):
        ledger.acknowledge("a", number)
    assert [number for _, number in handed_out(ledger)] == [4, 5]
    ledger.acknowledge("a", 4)
    assert not ledger.finished
    ledger.acknowledge("b", 5)
    assert ledger.finished


def test_both_versions_of_the_code_and_the_direct_count_agree(tmp_path):
    text = tmp_path / "corpus.txt"
    corpus.write(text, megabytes=0.2)
    direct = corpus.direct_count(text)
    assert direct.total() > 10_000
    for count in counting.VERSIONS.values():
        total = Counter()
        for chunk in corpus.chunks(text):
            total.update(count(chunk.decode()))
        assert total == direct
