"""Both roles of the uplink over a transport that is cut at any moment, as a machine.

It has no clock: what happens in which order is all that is drawn.
"""

from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shmtel.wire.codec import decode_hub_frame, encode_collector_frame
from shmtel.wire.errors import RemoteProtocolError
from support.wire_hub import ModelHub, ModelStream
from support.wire_rings import (
    Flaw,
    ModelCollector,
    ModelRing,
    Oracle,
)

RINGS = 3
NOW_NS = 1
NEWER_FRAME = b"\xfa\x01\x01x"  # member 31 of the oneof, which nobody knows
numbers = st.integers(0, RINGS - 1)


class UplinkMachine(RuleBasedStateMachine):
    """A collector and a hub, each with what it keeps when a stream is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.hub = ModelHub(self.oracle, lambda: NOW_NS)
        self.rings = [ModelRing(bytes([number]) * 16) for number in range(RINGS)]
        self.collector = ModelCollector("host", self.rings)
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.older: list[ModelStream] = []
        self.is_draining = self.has_overtaken = False
        self.stream = self.hub.connect()
        self.collector.begin(NOW_NS)
        self.exchange(10)

    # -- faults ----------------------------------------------------------------

    @rule(arrived=st.integers(0, 5), moves=st.sampled_from([0, 3, 10, 10]))
    def reconnect(self, arrived: int, moves: int) -> None:
        """Lose the stream; some frames arrive yet, and its hub works on them."""
        self.push_up()
        self.stream.inbox.extend(list(self.up)[:arrived])
        self.older.append(self.stream)
        self.collector.end()
        self._connect(moves)

    @rule(moves=st.sampled_from([0, 10]))
    def restart_collector(self, moves: int) -> None:
        """Kill the collector; the next one has a greater epoch."""
        self.older.append(self.stream)
        self.collector.restart()
        self._connect(moves)

    @rule(moves=st.sampled_from([0, 10]))
    def kill_hub(self, moves: int) -> None:
        """Fall back to what was durable; acks that were delayed never come."""
        self._start_hub(moves)

    @rule()
    def lose_table(self) -> None:
        """Have a hub that knows nothing."""
        self.hub.durable, self.oracle.has_lost_table = {}, True
        self._start_hub(10)

    @rule()
    def drain_hub(self) -> None:
        """Ask the collector to leave; whoever comes then is refused."""
        self.hub.fleet.drain(1.0)
        self.is_draining = True

    @rule()
    def newer_peers(self) -> None:
        """Let frames cross that only a newer version knows."""
        self.push_up()
        self.up.append(NEWER_FRAME)
        self.down.append(NEWER_FRAME)

    @rule(number=numbers, count=st.integers(1, 9))
    def overtake(self, number: int, count: int) -> None:
        """Let the hub's position move under a stream, so that there is a gap."""
        ring = self.rings[number]
        entry = self.hub.table.get(("host", ring.ring_id))
        if entry is None or any(stream.is_working() for stream in self._streams()):
            return
        before = entry.position.last_seq
        last = min(before + count, ring.emitted)
        if last == before or ring.is_closed:
            return
        self.has_overtaken = True
        ring.resent_through = max(ring.resent_through, last)  # somebody sent them
        late = ModelRing(ring.ring_id, emitted=last, resent_through=last)
        late.sent_seq, late.number = before, 1
        segment = late.take(count)
        assert segment is not None
        self.hub.overtake(entry, segment)

    @rule(number=numbers, other=numbers, moved=st.sampled_from([1, 4, 8]))
    def overtake_in_flight(self, number: int, other: int, moved: int) -> None:
        """Let it move while segments that rely on it are on their way."""
        for _ in range(3):
            self.emit(number, 4, 1)
            self.send({number, other}, 4)
        self.push_up()
        self.overtake(number, moved)
        self.exchange(5)
        self.send({number}, 4)
        self.exchange(5)

    # -- work ------------------------------------------------------------------

    @rule(number=numbers, count=st.integers(1, 20), dies=st.integers(0, 9))
    def emit(self, number: int, count: int, dies: int) -> None:
        """Commit events to a ring; a few are its last."""
        ring = self.rings[number]
        if not ring.is_dead:
            ring.emitted += count
            ring.is_dead = dies == 0

    @rule(chosen=st.sets(numbers, min_size=1), count=st.integers(1, 20))
    def send(self, chosen: set[int], count: int) -> None:
        """Drain some rings into a batch; the end of a ring goes with its last."""
        self.collector.send([self.rings[number] for number in sorted(chosen)], count)

    @rule(moves=st.integers(1, 9), oldest_first=st.booleans())
    def exchange(self, moves: int, oldest_first: bool = False) -> None:
        """Carry frames, and let the hub's streams work on them."""
        for _ in range(moves):
            self.push_up()
            if self.up:
                self.stream.inbox.append(self.up.popleft())
            streams = self._streams()
            for stream in streams if oldest_first else reversed(streams):
                stream.step()
                self._check(stream)
            self._receive()

    @rule()
    def flush(self) -> None:
        """Make durable what is committed, and acknowledge it."""
        self.hub.flush()

    def push_up(self) -> None:
        """Take what the collector has to say."""
        if self.collector.protocol is not None:
            frames = self.collector.protocol.outgoing()
            self.up.extend(map(encode_collector_frame, frames))

    def _receive(self) -> None:
        self.down.extend(self.stream.outgoing())
        protocol = self.collector.protocol
        assert protocol is not None
        try:
            if self.down:
                frame = decode_hub_frame(self.down.popleft())
                events = protocol.receive(frame, NOW_NS)
                self.collector.take(events)
            elif self.stream.stopped.is_set():
                self._connect(0)
        except RemoteProtocolError:
            if self.collector.ended_with is None:
                raise
            self._connect(0)

    def _check(self, stream: ModelStream) -> None:
        # Only where a position moved under the stream can the end of a ring be
        # accepted while the collector is told to go back; then it starts anew.
        if stream.error is not None and not self.has_overtaken:
            raise Flaw(str(stream.error))

    def _connect(self, moves: int) -> None:
        self.up.clear()
        self.down.clear()
        if self.collector.protocol is not None:
            self.collector.end()
        self.stream = self.hub.connect()
        self.collector.begin(NOW_NS)
        self.exchange(moves)

    def _start_hub(self, moves: int) -> None:
        self.hub.start()
        self.older.clear()
        self.is_draining = False
        self._connect(moves)

    def _streams(self) -> list[ModelStream]:
        self.older = [older for older in self.older if not older.stopped.is_set()]
        for older in self.older:  # its connection is gone
            if not older.inbox and not older.is_working():
                older.stop()
        return [*self.older, self.stream]

    # -- what holds --------------------------------------------------------------

    @invariant()
    def released_is_durable(self) -> None:
        """A ring releases nothing that a kill of the hub would take back."""
        for ring in self.rings:
            assert sum(ring.settled.totals.values()) == ring.settled.last_seq
            known = self.hub.durable.get(("host", ring.ring_id))
            if not self.oracle.has_lost_table:
                durable_seq = 0 if known is None else known.last_seq
                assert ring.settled.last_seq <= durable_seq

    def teardown(self) -> None:
        """When nothing fails any more, everything arrives once and is settled."""
        if self.is_draining:
            self.hub.flush()
            self._start_hub(10)
        for _ in range(1_000):
            if self.collector.is_settled():
                break
            self.collector.open_rings()
            self.collector.send(self.rings, 9)
            self.exchange(2)
            self.hub.flush()
        for ring in self.rings:
            known = self.hub.durable.get(("host", ring.ring_id))
            if ring.emitted:
                self.oracle.check_end(ring, known)
