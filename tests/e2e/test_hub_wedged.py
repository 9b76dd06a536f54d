"""A real hub whose handlers hang, and a disk that does not take what it writes."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shmtel.hub import Hub
from shmtel.hub.handlers import EventBatch
from shmtel.hub.positions import FILE_NAME
from shmtel.hub.readiness import LIMIT_S
from shmtel.wire.collector_events import Acked, Ended
from shmtel.wire.frames import ErrorCode, Heartbeat
from support.hubs import WAIT_S, Seqs, running_hub
from support.processes import wait_until
from support.uplink import ScriptedCollector, connected, make_hello, make_segment


@contextmanager
def held(seen: Seqs) -> Iterator[None]:
    """Let a handler hang until the context ends."""
    seen.hold()
    try:
        yield
    finally:
        seen.may_go_on.set()


@pytest.mark.parametrize("own_thread", [False, True])
def test_a_handler_that_hangs_makes_the_hub_unready(own_thread: bool) -> None:
    """It is named, with the host that waits for its ack; and then all is well."""
    seen = Seqs(WAIT_S * 3)
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch("stuck", "*", seen, own_thread=own_thread)
        collector.open()
        assert hub.readiness().is_ready
        with held(seen):
            collector.send(make_segment(0, 1))
            assert seen.entered.wait(WAIT_S)
            assert hub.readiness().is_ready
            wait_until(lambda: len(hub.readiness().reasons) == 2, LIMIT_S + WAIT_S)
            found = hub.readiness()
            assert not found.is_ready
            assert (found.handler_id, found.unanswered_node) == (
                "stuck",
                "node-of-host-1",
            )
            assert LIMIT_S < found.unanswered_s < LIMIT_S + WAIT_S
            age_ms = [f.oldest_unacked_age_ms for f in collector.frames_of(Heartbeat)]
            assert age_ms[-1] > 1_000
        collector.wait_acked(1)
        wait_until(lambda: hub.readiness().is_ready, WAIT_S)
        assert hub.readiness().unanswered_s == 0
    assert hub.readiness().reasons == ["the hub does not serve"]


def test_a_hanging_handler_with_a_thread_holds_only_acks() -> None:
    """The others get all that the credit lets through, of every host."""
    stuck, seen = Seqs(), Seqs()
    with (
        running_hub() as hub,
        connected(hub.address) as one,
        connected(hub.address, make_hello("two")) as two,
    ):
        hub.attach_batch("stuck", "*", stuck, own_thread=True)
        hub.attach_batch("seen", "*", seen)
        with held(stuck):
            for collector in (one, two):
                collector.open()
                for seq in range(5):
                    collector.send(make_segment(seq, seq + 1))
            wait_until(lambda: len(seen.seqs) == 10, WAIT_S)
            assert one.of(Acked) == two.of(Acked) == []
        for collector in (one, two):
            collector.wait_acked(5)
        assert sorted(stuck.seqs) == sorted(seen.seqs)


def test_a_handler_that_only_queues_holds_nothing() -> None:
    """What finds no room in its queue it misses, and that is counted."""
    stuck = Seqs()
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch(
            "stuck", "*", stuck, own_thread=True, ack="queued", queue_batches=2
        )
        collector.open()
        with held(stuck):
            collector.wait_acked(collector.send(make_segment(0, 1)))
            assert stuck.entered.wait(WAIT_S)
            for seq in range(1, 5):
                collector.wait_acked(collector.send(make_segment(seq, seq + 1)))
            assert hub.missed() == {("stuck", "queue_full"): 2}
            assert hub.stats().missed == 2
        wait_until(lambda: stuck.seqs == [1, 2, 3], WAIT_S)


@pytest.mark.parametrize("own_thread", [False, True])
def test_a_hub_stops_in_two_seconds_whatever_hangs(
    tmp_path: Path, own_thread: bool
) -> None:
    """What is not done is not acknowledged, then or later, nor on the record."""
    seen = Seqs()
    hub = Hub("127.0.0.1:0", state_dir=tmp_path)
    hub.start()
    hub.attach_batch("stuck", "*", seen, own_thread=own_thread)
    with connected(hub.address) as collector:
        collector.open()
        collector.wait_acked(collector.send(make_segment(0, 1)))
        with held(seen):
            collector.send(make_segment(1, 2))
            assert seen.entered.wait(WAIT_S)
            began = time.monotonic()
            hub.stop()
            assert time.monotonic() - began < 3.0  # two, on a machine that is loaded
            collector.wait_over()
        assert len(collector.of(Acked)) == 1
    with running_hub(state_dir=tmp_path) as hub, connected(hub.address) as collector:
        collector.open()
        assert hub.ledger().rings[0].account.delivered == 1


def test_what_a_hung_hub_holds_is_bounded() -> None:
    """A collector that keeps sending runs out of credit; heartbeats go on."""
    stuck, seen = Seqs(), Seqs()
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch("stuck", "*", stuck, own_thread=True)
        hub.attach_batch("seen", "*", seen)
        collector.open()
        with held(stuck):
            sent_bytes, seq = 0, 0
            while room := collector.protocol.room():
                segment = make_segment(seq, seq + 1_000)
                assert len(segment.events) <= room
                seq, sent_bytes = seq + 1_000, sent_bytes + len(segment.events)
                collector.send(segment)
            wait_until(lambda: len(seen.seqs) == seq, WAIT_S)
            assert sent_bytes <= 2 * hub._terms.max_batch_bytes
            before = len(collector.frames_of(Heartbeat))
            collector.wait_for(lambda: len(collector.frames_of(Heartbeat)) > before + 1)
            assert collector.protocol.room() == 0
        wait_until(lambda: collector.protocol.room() > 0, WAIT_S)
        wait_until(lambda: len(stuck.seqs) == seq, WAIT_S)  # the first ack came before
        assert stuck.seqs == list(range(1, seq + 1))


def test_a_new_stream_waits_for_what_hangs_on_the_old_one() -> None:
    """Where it may go on is not said before that is safe."""
    stuck = Seqs()
    with running_hub() as hub:
        hub.attach_batch("stuck", "*", stuck, own_thread=True)
        with held(stuck):
            with connected(hub.address) as first:
                first.open()
                first.send(make_segment(0, 3))
                assert stuck.entered.wait(WAIT_S)
            with connected(hub.address) as second:
                ring = second.announce()
                heard = len(second.frames_of(Heartbeat))
                second.wait_for(lambda: len(second.frames_of(Heartbeat)) > heard + 1)
                assert not second.protocol.is_ready(ring)
                stuck.may_go_on.set()
                assert second.wait_resumed(ring).last_seq == 3


def test_a_disk_that_fails_holds_all_acks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The hub is not ready, says so once, and recovers by itself."""
    seen = Seqs()
    with running_hub(state_dir=tmp_path) as hub, connected(hub.address) as collector:
        hub.attach_batch("seen", "*", seen)
        collector.open()
        with (
            caplog.at_level(logging.WARNING),
            closing(sqlite3.connect(tmp_path / FILE_NAME)) as database,
        ):
            database.execute("BEGIN IMMEDIATE")
            collector.send(make_segment(0, 2))
            collector.send(make_segment(2, 3))
            wait_until(lambda: hub.stats().commit_failures >= 2, WAIT_S)
            assert seen.seqs == [1, 2, 3]
            assert collector.of(Acked) == []
            (reason,) = hub.readiness().reasons
            assert "locked" in reason
            database.rollback()
            collector.wait_acked(2)
        wait_until(lambda: hub.readiness().is_ready, WAIT_S)
        assert len(caplog.records) == 2


def broken_sink(_batch: EventBatch, _config: object) -> None:
    """Raise, as a sink does whose disk is full."""
    raise OSError("disk full")


def test_a_required_handler_with_a_thread_ends_all_streams() -> None:
    """As one without does: nothing more is acknowledged, and everybody is told."""
    with running_hub() as hub, connected(hub.address, make_hello("two")) as other:
        hub.attach_batch("sink", "*", broken_sink, required=True, own_thread=True)
        with connected(hub.address) as collector:
            collector.open()
            collector.send(make_segment(0, 1))
            collector.wait_over()
            assert collector.of(Acked) == []
        other.wait_over()
        (ended,) = other.of(Ended)
        assert ended.error.code == ErrorCode.SHUTTING_DOWN
        assert "'sink': disk full" in str(hub.failure)
        assert not hub.readiness().is_ready
        late = ScriptedCollector(hub.address, make_hello("late"))
        late.wait_over()
        late.cut()
