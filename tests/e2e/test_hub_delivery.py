"""A real hub and a scripted collector: what arrives, and what survives."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from shmtel.hub.jsonlines import JsonLines
from shmtel.wire.collector_events import Acked, Ended, Resumed
from shmtel.wire.frames import ErrorCode, Outcome, RingClosed, Segment, WorkerCounters
from shmtel.wire.protocol import as_rejected
from support.hubs import Seqs, fail, running_hub
from support.uplink import ScriptedCollector, connected, make_segment

RING = b"r" * 16


def test_delivered_events_are_handled_before_the_ack(tmp_path: Path) -> None:
    """When the ack is there, every handler has returned and the line is written."""
    path, seen = tmp_path / "events.jsonl", Seqs()
    with JsonLines(path) as sink, running_hub() as hub:
        hub.attach_batch("seen", "*", seen)
        hub.attach_batch("jsonl", "*", sink)
        with connected(hub.address) as collector:
            collector.open()
            collector.wait_acked(collector.send(make_segment(0, 3)))
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert [line["seq"] for line in lines] == seen.seqs == [1, 2, 3]
            assert lines[0]["node"] == "node-of-host-1"


def test_a_new_stream_resumes_where_the_hub_stands() -> None:
    """After a cut nothing is sent twice, whatever the collector had settled."""
    seen = Seqs()
    with running_hub() as hub:
        hub.attach_batch("seen", "*", seen)
        with connected(hub.address) as collector:
            collector.open()
            rejected = {Outcome.REJECTED_MALFORMED: 2}
            collector.wait_acked(collector.send(make_segment(0, 5, counts=rejected)))
        with connected(hub.address) as collector:
            ring = collector.open()
            assert collector.of(Resumed) == [Resumed(ring, 5, {0: 3, 8: 2})]
            collector.wait_acked(collector.send(make_segment(5, 6)))
    assert seen.seqs == [1, 2, 3, 6]


def test_a_hub_that_knows_nothing_starts_where_the_collector_settled() -> None:
    """A ring that is new to the hub begins at its settled seq."""
    with running_hub() as hub, connected(hub.address) as collector:
        ring = collector.open(settled_seq=40)
        assert collector.of(Resumed) == [Resumed(ring, 40, {0: 40})]
        collector.wait_acked(collector.send(make_segment(40, 41)))
        assert hub.ledger().rings[0].account.delivered == 41


def test_a_closed_ring_is_in_the_ledger() -> None:
    """The end of a ring is acknowledged and kept, with its final counters."""
    counters = WorkerCounters(committed=3, dropped={"ring_full": 2})
    with running_hub() as hub, connected(hub.address) as collector:
        ring = collector.open()
        closed = RingClosed(ring, 3, "vanished", counters)
        collector.wait_acked(collector.send(make_segment(0, 3), closed=[closed]))
        (entry,) = hub.ledger().rings
        assert (entry.state, entry.account.delivered) == ("vanished", 3)
        assert entry.account.dropped == {"ring_full": 2}
        assert hub.list_workers()[0].is_closed


def test_a_handler_that_raises_does_not_hold_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is detached, logged and counted; the event is delivered and acked."""
    seen = Seqs()
    with caplog.at_level(logging.ERROR), running_hub() as hub:
        hub.attach("bad", "a.*", fail)
        hub.attach_batch("seen", "a.*", seen)
        with connected(hub.address) as collector:
            collector.open()
            collector.wait_acked(collector.send(make_segment(0, 2)))
            collector.wait_acked(collector.send(make_segment(2, 3)))
        assert [handler.handler_id for handler in hub.list_handlers()] == ["seen"]
        assert hub.stats().handler_failures == 1
    assert seen.seqs == [1, 2, 3]
    assert len(caplog.records) == 1


def broken(segment: Segment) -> Segment:
    """Return a segment whose events do not decode."""
    return replace(segment, events=segment.events[:-1] + b"\xc1")


def test_a_segment_that_cannot_be_read_is_rejected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is counted by both sides, the rest is delivered, and its ring goes on."""
    seen = Seqs()
    with running_hub() as hub:
        hub.attach_batch("seen", "*", seen)
        with connected(hub.address) as collector:
            collector.open(b"1" * 16)
            collector.open(b"2" * 16)
            segments = [make_segment(0, 3), broken(make_segment(0, 3, ring=2))]
            collector.wait_acked(collector.send(*segments))
            collector.wait_acked(collector.send(make_segment(3, 4, ring=2)))
            first = collector.of(Acked)[0]
        assert seen.seqs == [1, 2, 3, 4]
        assert [part.ring for part in first.rejected] == [2]
        assert "no records" in first.rejected[0].reason
        assert first.batch.segments == (segments[0], as_rejected(segments[1]))
        accounts = [ring.account for ring in hub.ledger().rings]
        assert [(account.delivered, account.rejected) for account in accounts] == [
            (3, {}),
            (1, {"by_hub": 3}),
        ]
        stats = hub.stats()
        assert (stats.rejected, stats.delivered, stats.violations) == (3, 4, 0)
    assert len(caplog.records) == 1


def test_without_handlers_only_the_count_is_checked() -> None:
    """Events that nobody wants are not decoded; a wrong count is still found."""
    with running_hub() as hub:
        with connected(hub.address) as collector:
            collector.open()
            collector.wait_acked(collector.send(broken(make_segment(0, 3))))
            segment = make_segment(3, 4)
            wrong = replace(segment, events=b"\xdd\x00\x00\x00\x07")
            collector.wait_acked(collector.send(wrong))
        assert hub.stats().delivered == 3
        assert hub.stats().rejected == 1


def test_bytes_that_are_no_frame_end_the_stream() -> None:
    """Garbage is answered in the protocol, and the hub goes on."""
    with running_hub() as hub:
        with connected(hub.address) as collector:
            collector.send_raw(b"\xff\xff")
            collector.wait_over()
            assert collector.of(Ended)[0].error.code == ErrorCode.PROTOCOL_VIOLATION
        with connected(hub.address):
            assert hub.stats().streams == 1


def test_frames_of_a_newer_protocol_are_ignored() -> None:
    """A frame of a kind that is not known here changes nothing."""
    with running_hub() as hub, connected(hub.address) as collector:
        collector.send_raw(b"\x9a\x06\x02ab")
        collector.open()
        collector.wait_acked(collector.send(make_segment(0, 1)))


def test_bye_ends_a_stream_in_order() -> None:
    """What was sent before is acknowledged, and then the stream is over."""
    with running_hub() as hub:
        collector = ScriptedCollector(hub.address)
        collector.open()
        number = collector.send(make_segment(0, 1))
        collector.close()
        assert [event.batch.batch_seq for event in collector.of(Acked)] == [number]
        assert collector.code is None
        assert hub.stats().violations == 0
