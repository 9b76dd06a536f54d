"""Both laws of accounting, from rings that live and rings that are gone."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel.accounting.accounts import Account, account_of_totals
from shmtel.accounting.counts import Claims
from shmtel_collector.finished import FinishedRing
from shmtel_collector.ledger import read_ledger
from shmtel_collector.state import State
from support.emitter import Emitter
from support.home import HOME
from support.memory_line import SECOND_NS, MemoryLine
from support.ring_builder import RingBuilder
from support.ring_layout import ProducerZone

StartWorker = Callable[..., Emitter]
MakeRing = Callable[..., RingBuilder]


def test_words_are_never_mixed() -> None:
    """Each outcome is counted under its own word and reason."""
    totals = {0: 1, 1: 2, 2: 3, 8: 4, 9: 5, 10: 6, 16: 7, 17: 8, 18: 9, 19: 10}
    account = account_of_totals(totals, committed=55)
    assert account == Account(
        committed=55,
        delivered=1,
        sampled_out_by_collector=2,
        filtered_by_collector=3,
        rejected={"malformed": 4, "unknown_name": 5, "bad_threshold": 6},
        lost={"quarantined": 7, "hub_state_lost": 8, "overwritten": 9, "evicted": 10},
    )
    assert account.unaccounted == 0


def test_unknown_outcome_is_not_swallowed() -> None:
    """Totals of a newer version are counted, under a word that shows them."""
    account = account_of_totals({0: 1, 30: 2}, committed=3)
    assert account.lost == {"unknown_outcome": 2}
    assert account.unaccounted == 0


def test_missing_events_are_unaccounted() -> None:
    """What is committed and nowhere is what the ledger is for."""
    account = Account(committed=10, delivered=4, in_ring=3, in_flight=1)
    assert account.unaccounted == 2


def test_emitted_is_the_sum_of_what_became_of_the_calls() -> None:
    """The worker's law: every call that returned is in exactly one count."""
    account = Account(
        committed=1,
        dropped={"ring_full": 2, "invalid": 3},
        sampled_out=4,
        filtered=5,
        disabled=6,
    )
    assert account.emitted == 21


def test_accounts_add_up() -> None:
    """Sums keep the reasons apart."""
    one = Account(committed=1, dropped={"ring_full": 1}, delivered=1)
    two = Account(committed=2, dropped={"ring_full": 2, "invalid": 1}, in_ring=2)
    assert one.plus(two) == Account(
        committed=3, dropped={"ring_full": 3, "invalid": 1}, delivered=1, in_ring=2
    )


def test_ring_is_read_without_a_collector(
    namespace: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Nobody has to run for a worker's events to be accounted for."""
    start_worker(SHMTEL_WORKER_ID="w1").emit(10)
    ledger = read_ledger(namespace, tmp_path, HOME)
    (ring,) = ledger.rings
    assert (ring.worker_id, ring.state) == ("w1", "live")
    assert (ring.account.emitted, ring.account.in_ring) == (10, 10)
    assert ledger.total.unaccounted == 0


def test_events_are_followed_along_the_line(
    line: MemoryLine, namespace: str, start_worker: StartWorker
) -> None:
    """From in_ring over in_flight to delivered, and then out of the ring's life."""
    state_dir = line.database_path.parent
    worker = start_worker()
    worker.emit(10)
    line.connect()
    worker.emit(5)
    line.hub.is_holding = True
    line.step()
    worker.emit(3)
    total = read_ledger(namespace, state_dir, HOME).total
    assert (total.delivered, total.in_flight, total.in_ring) == (10, 5, 3)
    assert total.unaccounted == 0
    line.hub.release()
    worker.kill()
    line.step(SECOND_NS)
    ledger = read_ledger(namespace, state_dir, HOME)
    (ring,) = ledger.rings
    assert HOME.scan(namespace) == []
    assert (ring.state, ring.account.delivered) == ("vanished", 18)
    assert ledger.total.unaccounted == 0


def test_ring_in_both_places_counts_once(
    namespace: str, make_ring: MakeRing, tmp_path: Path
) -> None:
    """A kill between writing a ring down and removing it doubles nothing."""
    ring = make_ring()
    ring.add_name("a.b")
    ring.append(0)
    _write_down(namespace, tmp_path, ring.ring_id, last_seq=1, committed=1)
    ledger = read_ledger(namespace, tmp_path, HOME)
    assert [entry.state for entry in ledger.rings] == ["closed"]
    assert ledger.total.committed == 1


def _write_down(
    namespace: str, state_dir: Path, ring_id: bytes, *, last_seq: int, committed: int
) -> None:
    state = State(state_dir / f"{namespace}.sqlite3", max_rows=2)
    claims = Claims(committed=committed)
    totals = {0: last_seq}
    state.finish(
        FinishedRing(ring_id, "w", "p", 1, 1, "closed", last_seq, totals, claims)
    )
    state.close()


def test_claim_beyond_the_records_is_unaccounted(
    namespace: str, tmp_path: Path
) -> None:
    """The counter never leads the records, so what it has more is missing."""
    _write_down(namespace, tmp_path, bytes(16), last_seq=10, committed=12)
    assert read_ledger(namespace, tmp_path, HOME).total.unaccounted == 2


def test_counter_that_lags_after_a_kill_is_no_loss(
    namespace: str, tmp_path: Path
) -> None:
    """The records are the truth; the counter may be one behind."""
    _write_down(namespace, tmp_path, bytes(16), last_seq=10, committed=9)
    total = read_ledger(namespace, tmp_path, HOME).total
    assert (total.committed, total.unaccounted) == (10, 0)


def test_folded_rings_stay_in_the_sum(namespace: str, tmp_path: Path) -> None:
    """Rings too old for a row of their own are one line, and still counted."""
    for _ in range(5):
        _write_down(namespace, tmp_path, os.urandom(16), last_seq=10, committed=10)
    ledger = read_ledger(namespace, tmp_path, HOME)
    assert [ring.state for ring in ledger.rings] == ["folded", "closed", "closed"]
    assert (ledger.total.committed, ledger.total.delivered) == (50, 50)


def test_empty_ring_with_a_higher_count_is_unaccounted(
    namespace: str, make_ring: MakeRing, tmp_path: Path
) -> None:
    """A count without the bytes that could hold it is not called `in_ring`."""
    make_ring().poke(ProducerZone, committed=3)
    total = read_ledger(namespace, tmp_path, HOME).total
    assert (total.in_ring, total.unaccounted) == (0, 3)


def test_segment_that_cannot_be_read_is_named(
    namespace: str, make_ring: MakeRing, tmp_path: Path
) -> None:
    """What the ledger does not know is said, not left out."""
    bad, good = make_ring(publish=False), make_ring()
    ledger = read_ledger(namespace, tmp_path, HOME)
    assert ledger.refused == {bad.name: "no_magic"}
    assert [ring.ring_id for ring in ledger.rings] == [good.ring_id.hex()]


def test_it_is_plain_data_in_the_end(
    namespace: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Tools print it as JSON, with the sums beside the counts."""
    start_worker().emit(10)
    data = json.loads(json.dumps(read_ledger(namespace, tmp_path, HOME).to_json()))
    assert data["namespace"] == namespace
    assert data["total"]["emitted"] == data["rings"][0]["in_ring"] == 10
    assert data["total"]["unaccounted"] == 0
    assert data["refused"] == {}


@pytest.mark.parametrize("law", ["emitted", "unaccounted", "spooled"])
def test_every_word_of_the_laws_is_there(law: str) -> None:
    """Also those that this version never counts."""
    assert law in Account().to_json()
