"""Sums over the rings that are gone: they only grow, whatever goes or restarts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shmtel.accounting.accounts import Account
from shmtel.accounting.counts import Claims, EventCounts
from shmtel_collector import tally
from shmtel_collector.finished import FinishedRing
from shmtel_collector.state import State
from support.emitter import Emitter
from support.memory_line import SECOND_NS, MemoryLine

StartWorker = Callable[..., Emitter]


def _ring(number: int, service: str = "shop", index: int | None = 3) -> FinishedRing:
    return FinishedRing(
        ring_id=number.to_bytes(16, "big"),
        worker_id=f"worker-{number}",
        pool_name="pool",
        pid=number,
        closed_ns=number,
        reason="vanished",
        last_seq=12,
        totals={0: 10, 16: 2},
        claims=Claims(12, 1, 2, 3, {"ring_full": 4}),
        service=service,
        worker_index=index,
    )


ONE = Account(
    committed=12,
    dropped={"ring_full": 4},
    sampled_out=1,
    filtered=2,
    disabled=3,
    delivered=10,
    lost={"quarantined": 2},
)


def test_rings_add_up_by_service_and_index(tmp_path: Path) -> None:
    """A worker that takes over its predecessor's index goes on counting there."""
    state = State(tmp_path / "s")
    for number in (1, 2):
        state.finish(_ring(number))
    state.finish(replace(_ring(3, "shop", None), reason="closed"))
    assert state.tally.sums() == {
        ("shop", "3"): tally.GoneRings({"vanished": 2}, ONE.plus(ONE)),
        ("shop", ""): tally.GoneRings({"closed": 1}, ONE),
    }
    state.close()


def test_a_ring_counts_once(tmp_path: Path) -> None:
    """Written down again after a kill, it changes no sum; nor does a restart."""
    for _ in range(2):
        state = State(tmp_path / "s")
        state.finish(_ring(1))
        assert state.tally.has(_ring(1).ring_id)
        assert not state.tally.has(_ring(2).ring_id)
        state.close()
    state = State(tmp_path / "s")
    assert state.tally.sums() == {("shop", "3"): tally.GoneRings({"vanished": 1}, ONE)}
    state.close()


def test_folding_changes_no_sum(tmp_path: Path) -> None:
    """Rows that are too old for themselves stay in the sums."""
    state = State(tmp_path / "s", max_rows=1)
    for number in range(1, 5):
        state.finish(_ring(number))
    (sum_,) = state.tally.sums().values()
    assert sum_.ended == {"vanished": 4}
    assert sum_.account.delivered == 40
    state.close()


def test_spooled_rings_are_read_without_their_names(tmp_path: Path) -> None:
    """They are read between two passes, and their names are most of what is kept."""
    state = State(tmp_path / "s")
    spooled = replace(_ring(1), totals={0: 3}, spooled=9)
    state.finish(replace(spooled, events={"a.b": EventCounts(12)}))
    state.finish(_ring(2))
    assert state.tally.spooled() == [spooled]
    state.close()


def test_names_are_bounded(tmp_path: Path) -> None:
    """Services without end count as one that has no name; nothing is left out."""
    state = State(tmp_path / "s")
    beyond = 5
    for number in range(tally.KEYS_MAX + beyond):
        state.finish(_ring(number, f"service-{number}", 0))
    sums = state.tally.sums()
    assert len(sums) == tally.KEYS_MAX + 1
    assert sums[tally.NAMELESS].ended == {"vanished": beyond}
    state.close()


def test_a_ring_that_could_not_be_removed_is_known_as_counted(
    line: MemoryLine, start_worker: StartWorker
) -> None:
    """What is written down and still there must not count twice."""
    worker = start_worker(SHMTEL_SERVICE_NAME="shop")
    worker.emit(5)
    line.connect()
    (ring,) = line.fleet.rings.values()
    assert not ring.is_counted
    worker.kill()
    line.step(SECOND_NS)
    (sum_,) = line.state.tally.sums().values()
    assert sum_.account.delivered == 5
    assert ring.is_counted
