"""Both roles of the uplink over a transport that is cut at any moment."""

from collections import deque

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shmtel.hub.table import RingEntry, RingTable
from shmtel.wire import codec
from shmtel.wire.collector_events import Acked, Event, Resumed
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    Batch,
    CollectorFrame,
    Hello,
    Outcome,
    RingClosed,
    RingOpened,
    Segment,
    SegmentCount,
    Welcome,
    Worker,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import Position, advanced

RINGS = [bytes([number]) * 16 for number in range(3)]
TERMS = Welcome(1, "hub", 60, 30, 1_000)
NOW_NS = 1


class Ring:
    """What a collector knows of a ring: events in it, drained, and settled."""

    def __init__(self) -> None:
        self.emitted = 0
        self.cursor = 0
        self.settled = Position()
        self.number = 0
        self.is_dead = False  # nothing is emitted any more
        self.is_closing = False
        self.is_closed = False


class UplinkMachine(RuleBasedStateMachine):
    """A collector and a hub, each with what it keeps when a stream is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.rings = {ring_id: Ring() for ring_id in RINGS}
        self.table = RingTable()
        self.accepted: dict[bytes, list[int]] = {ring_id: [] for ring_id in RINGS}
        self.epoch = 0
        self.connect(10)

    # -- faults ----------------------------------------------------------------

    @rule(moves=st.sampled_from([0, 3, 10, 10]))
    def connect(self, moves: int) -> None:
        """Lose the stream with all that is under way, and make a new one."""
        self.epoch += 1
        self.hello = Hello(1, 1, "node", "host", bytes(16), self.epoch)
        self.collector = CollectorProtocol(self.hello, NOW_NS)
        self.hub = HubProtocol(TERMS, NOW_NS)
        self.entries: list[RingEntry] = []
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        for ring_id, ring in self.rings.items():
            seq, totals = ring.settled.last_seq, ring.settled.totals
            ring.cursor, ring.is_closing = seq, False
            ring.number = self.collector.open_ring(ring_id, Worker(), seq, totals)
        self.move_up(moves)
        self.move_down(moves)

    @rule(ring_id=st.sampled_from(RINGS), count=st.integers(1, 9))
    def late_commit(self, ring_id: bytes, count: int) -> None:
        """Let the hub's position move under a stream, so that segments misfit."""
        entry = next((e for e in self.entries if e.ring_id == ring_id), None)
        if entry is None:
            return
        before = entry.position.last_seq
        last = min(before + count, self.rings[ring_id].emitted)
        self._accept(entry, Segment(1, before, last, last - before, b""))

    # -- work ------------------------------------------------------------------

    @rule(ring_id=st.sampled_from(RINGS), count=st.integers(1, 20))
    def emit(self, ring_id: bytes, count: int) -> None:
        """Commit events to a ring."""
        if not self.rings[ring_id].is_dead:
            self.rings[ring_id].emitted += count

    @rule(
        chosen=st.sets(st.sampled_from(RINGS), min_size=1),
        count=st.integers(1, 9),
        rejected=st.integers(0, 3),
        closing=st.booleans(),
    )
    def send(
        self, chosen: set[bytes], count: int, rejected: int, closing: bool
    ) -> None:
        """Drain some rings into a batch; perhaps the last one of a ring."""
        ready = [r for r in map(self.rings.get, sorted(chosen)) if self._is_ready(r)]
        if not self.collector.room() or not ready:
            return
        segments = [self._drain(ring, count, rejected) for ring in ready if ring]
        ended = [r for r in ready if r and closing and r.cursor == r.emitted]
        closed = [RingClosed(r.number, r.cursor, "closed") for r in ended]
        for ring in ended:
            ring.is_dead = ring.is_closing = True
        self.collector.send_batch(segments, closed)

    def _is_ready(self, ring: Ring | None) -> bool:
        if ring is None or ring.is_closed or ring.is_closing:
            return False
        return self.collector.is_ready(ring.number)

    def _drain(self, ring: Ring, count: int, rejected: int) -> Segment:
        before = ring.cursor
        ring.cursor = last = min(before + count, ring.emitted)
        counted = min(rejected, last - before)
        counts = (SegmentCount(0, Outcome.REJECTED_MALFORMED, counted),)
        delivered = last - before - counted
        return Segment(ring.number, before, last, delivered, b"e" * delivered, counts)

    @rule(ring_id=st.sampled_from(RINGS), moved=st.integers(1, 9))
    def overtake(self, ring_id: bytes, moved: int) -> None:
        """Send two segments and let the position move before they arrive."""
        self.emit(ring_id, 9)
        self.send({ring_id}, 4, 0, False)
        self.send({ring_id}, 4, 0, False)
        self.late_commit(ring_id, moved)

    @rule(moves=st.integers(1, 6))
    def move_up(self, moves: int) -> None:
        """Let the hub handle the next frames, as far as there are some."""
        for _ in range(moves):
            self._move_up()

    def _move_up(self) -> None:
        self.up.extend(map(codec.encode_collector_frame, self.collector.outgoing()))
        if self.up:
            frame = codec.decode_collector_frame(self.up.popleft())
            match self._judge(frame):
                case None:
                    self.connect(10)
                case Hello():
                    self.hub.accept(NOW_NS)
                case RingOpened() as opened:
                    entry = self.table.open(self.hello, opened)
                    self.entries.append(entry)
                    self.hub.resume(opened.ring, entry)
                case Batch() as batch:
                    self._work(batch)

    def _judge(self, frame: CollectorFrame | None) -> object:
        # Only where a position moved under the stream can the end of a ring be
        # accepted while the collector is told to go back; then it starts anew.
        try:
            return self.hub.receive(frame, NOW_NS)
        except RemoteProtocolError:
            if not any(entry.closed_reason for entry in self.entries):
                raise
            return None

    def _work(self, batch: Batch) -> None:
        positions = [self.entries[s.ring - 1].position for s in batch.segments]
        self.hub.commit(batch)
        self.hub.acknowledge(batch.batch_seq, NOW_NS)
        for segment, position in zip(batch.segments, positions, strict=True):
            entry = self.entries[segment.ring - 1]
            assert entry.position == advanced(position, segment)
            self._note(entry, segment)
        for closed in batch.closed:
            self.table.close(self.entries[closed.ring - 1], closed)

    @rule(moves=st.integers(1, 6))
    def move_down(self, moves: int) -> None:
        """Let the collector handle the next frames, as far as there are some."""
        for _ in range(moves):
            self._move_down()

    def _move_down(self) -> None:
        self.down.extend(map(codec.encode_hub_frame, self.hub.outgoing()))
        if self.down:
            frame = codec.decode_hub_frame(self.down.popleft())
            for event in self.collector.receive(frame, NOW_NS):
                self._on_event(event)

    def _on_event(self, event: Event) -> None:
        by_number = {ring.number: ring for ring in self.rings.values()}
        match event:
            case Resumed(number, last_seq, totals):
                ring = by_number[number]
                assert last_seq >= ring.settled.last_seq
                ring.settled = Position(last_seq, totals)
                ring.cursor, ring.is_closing = last_seq, False
            case Acked(batch):
                for segment in batch.segments:
                    ring = by_number[segment.ring]
                    assert segment.seq_before == ring.settled.last_seq
                    ring.settled = advanced(ring.settled, segment)
                for closed in batch.closed:
                    ring = by_number[closed.ring]
                    assert ring.settled.last_seq == closed.last_seq
                    ring.is_closed = True

    def _accept(self, entry: RingEntry, segment: Segment) -> None:
        entry.position = advanced(entry.position, segment)
        self._note(entry, segment)

    def _note(self, entry: RingEntry, segment: Segment) -> None:
        seqs = range(segment.seq_before + 1, segment.seq_last + 1)
        self.accepted[entry.ring_id].extend(seqs)

    # -- what holds --------------------------------------------------------------

    @invariant()
    def accepted_once_and_in_order(self) -> None:
        """Each seq is accepted exactly once, in order, never before it is there."""
        for ring_id, seqs in self.accepted.items():
            assert seqs == list(range(1, len(seqs) + 1))
            assert len(seqs) <= self.rings[ring_id].emitted

    @invariant()
    def settled_was_accepted(self) -> None:
        """A ring releases nothing that the hub does not have."""
        for ring_id, ring in self.rings.items():
            assert ring.settled.last_seq <= len(self.accepted[ring_id])
            assert sum(ring.settled.totals.values()) == ring.settled.last_seq

    def teardown(self) -> None:
        """When nothing fails any more, everything arrives and is settled."""
        for _ in range(1_000):
            if self._is_quiet():
                break
            self.send(set(RINGS), 9, 0, False)
            self.move_up(1)
            self.move_down(1)
        assert self._is_quiet()

    def _is_quiet(self) -> bool:
        return all(
            len(self.accepted[ring_id]) == ring.settled.last_seq == ring.emitted
            for ring_id, ring in self.rings.items()
        )


TestUplink = pytest.mark.timeout(60)(UplinkMachine.TestCase)
TestUplink.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
)
