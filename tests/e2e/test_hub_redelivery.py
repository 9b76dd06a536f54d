"""What a hub hands out that the one before it may have handed out already."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shmtel.hub import Hub
from shmtel.hub.handlers import EventBatch
from shmtel.hub.positions import FILE_NAME
from shmtel.wire.collector_events import Acked
from shmtel.wire.frames import RingClosed, Segment, WorkerCounters
from shmtel.wire.protocol import Position
from support.hubs import WAIT_S, running_hub
from support.processes import wait_until
from support.uplink import connected, make_event, make_hello, make_segment, pack


class Marks:
    """A handler of both kinds that remembers what was marked."""

    def __init__(self, hub: Hub) -> None:
        self.events: list[tuple[int, Any]] = []
        self.batches: list[tuple[int, int]] = []
        hub.attach("events", "*", self._event)
        hub.attach_batch("batches", "*", self._batch)

    def _event(
        self, _event: str, _m: Mapping[str, float], metadata: Mapping[str, Any], _c: Any
    ) -> None:
        self.events.append((metadata["seq"], metadata.get("redelivered")))

    def _batch(self, batch: EventBatch, _config: object) -> None:
        self.batches.append((batch.records[-1].seq, batch.redelivered_through))


@contextmanager
def committing_nothing(state_dir: Path) -> Iterator[None]:
    """Keep the table from being written."""
    with closing(sqlite3.connect(state_dir / FILE_NAME)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def resent(before: int, last: int, through: int) -> Segment:
    """Return a segment of events of which some were sent before."""
    return replace(make_segment(before, last), resent_through=through)


def hand_out_and_forget(state_dir: Path) -> None:
    """Let a hub commit 2 events, hand out 3 more, and end before it notes that."""
    with running_hub(state_dir=state_dir) as hub, connected(hub.address) as collector:
        seen = Marks(hub)
        collector.open()
        collector.wait_acked(collector.send(make_segment(0, 2)))
        with committing_nothing(state_dir):
            collector.send(make_segment(2, 5))
            wait_until(lambda: len(seen.events) == 5, WAIT_S)
            hub.stop(0.3)
            committer = hub._parts.committer._thread
            assert committer is not None
            committer.join(WAIT_S)  # it gives up, too late
        assert len(collector.of(Acked)) == 1


@pytest.mark.parametrize("is_table_lost", [False, True])
def test_what_comes_again_is_marked(tmp_path: Path, is_table_lost: bool) -> None:
    """Up to where it had been sent, over batches and streams; what is new is not."""
    hand_out_and_forget(tmp_path)
    if is_table_lost:
        for path in tmp_path.glob(f"{FILE_NAME}*"):
            path.unlink()
    with running_hub(state_dir=tmp_path) as hub:
        seen = Marks(hub)
        with connected(hub.address) as collector:
            collector.open(settled_seq=2)
            collector.wait_acked(collector.send(resent(2, 3, 6)))
            collector.wait_acked(collector.send(resent(3, 5, 6)))
        with connected(hub.address) as collector:
            assert collector.wait_resumed(collector.announce()).last_seq == 5
            # 6 was sent to the hub before; 7 to this one, which did not take it.
            collector.wait_acked(collector.send(resent(5, 8, 7)))
        assert seen.events == [
            *((3, True), (4, True), (5, True), (6, True), (7, None), (8, None))
        ]
        assert seen.batches == [(3, 3), (5, 5), (8, 6)]
        assert hub.stats().redelivered == 4


def test_one_hub_marks_nothing_of_its_own(tmp_path: Path) -> None:
    """It knows what it has handed out, whatever was sent to it in vain."""
    with running_hub(state_dir=tmp_path) as hub:
        seen = Marks(hub)
        with connected(hub.address) as collector:
            collector.open()
            collector.wait_acked(collector.send(make_segment(0, 2)))
        with connected(hub.address) as collector:
            collector.open()
            collector.wait_acked(collector.send(resent(2, 4, 4)))
        assert seen.events == [(seq, None) for seq in (1, 2, 3, 4)]
        assert seen.batches == [(2, 0), (4, 0)]
        assert hub.stats().redelivered == 0


def test_a_worker_cannot_forge_the_mark() -> None:
    """Its own key of that name is kept under another."""
    found: list[Mapping[str, Any]] = []
    event = make_event(1, metadata={"redelivered": "mine"})
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach("all", "*", lambda _e, _m, metadata, _c: found.append(metadata))
        collector.open()
        collector.wait_acked(collector.send(Segment(1, 0, 1, 1, pack([event]))))
    assert "redelivered" not in found[0]
    assert found[0]["user.redelivered"] == "mine"


def test_the_table_outlives_the_hub(tmp_path: Path) -> None:
    """Positions, closed rings and their counters are those of before."""
    counters = WorkerCounters(committed=3, dropped={"ring_full": 2})
    with running_hub(state_dir=tmp_path) as hub, connected(hub.address) as collector:
        closing_ring = collector.open(b"1" * 16)
        collector.open(b"2" * 16)
        collector.wait_acked(
            collector.send(
                *(make_segment(0, 3), make_segment(0, 7, ring=2)),
                closed=[RingClosed(closing_ring, 3, "vanished", counters)],
            )
        )
        before = hub.ledger().rings
    with running_hub(state_dir=tmp_path) as hub:
        assert hub.ledger().rings == before
        assert sorted(ring.account.delivered for ring in before) == [3, 7]
        with connected(hub.address) as collector:
            for ring_id, last_seq in ((b"1", 3), (b"2", 7)):
                ring = collector.announce(ring_id * 16)
                resumed = collector.wait_resumed(ring)
                assert Position(resumed.last_seq, resumed.totals) == Position(
                    last_seq, {0: last_seq}
                )
        with connected(hub.address, make_hello("other")) as other:
            assert other.wait_resumed(other.announce(b"1" * 16)).last_seq == 0
