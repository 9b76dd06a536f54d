"""A hub as a model: its table, its streams, and what of them survives a kill.

Who may speak for a host is decided by the real Fleet, what may be said by the real
protocol. Positions are committed in memory and become durable in groups; only then
they are acknowledged. A killed hub comes back with what was durable.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from shmtel.hub.fleet import Fleet, LiveStream
from shmtel.policy.model import Policy
from shmtel.wire.codec import decode_collector_frame, encode_hub_frame
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    Batch,
    Bye,
    ErrorCode,
    Hello,
    RingOpened,
    Segment,
    Welcome,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import Position, advanced, as_rejected
from support.wire_rings import Oracle, decode_events

# Fifty events of the model to a batch, three batches to the credit.
TERMS = Welcome(0, "model", 1_200, 400, 1_000)

Key = tuple[str, bytes]  # host and ring


@dataclass
class Entry:
    """A ring in the table."""

    key: Key
    position: Position


@dataclass
class _Work:
    batch: Batch
    segments: deque[Segment]
    rejected: dict[int, str] = field(default_factory=dict)


class ModelHub:
    """One hub process after the other, over one table."""

    make_protocol: Callable[[Welcome, int], HubProtocol] = HubProtocol

    def __init__(self, oracle: Oracle, now: Callable[[], int]) -> None:
        self.oracle = oracle
        self.now = now
        self.durable: dict[Key, Position] = {}
        self.start()

    def start(self) -> None:
        """Begin with what is durable."""
        self.has_news = False
        self.fleet = Fleet(Policy())
        self.streams: list[ModelStream] = []
        self.table = {key: Entry(key, at) for key, at in self.durable.items()}

    def connect(self) -> "ModelStream":
        """Accept one more stream."""
        stream = ModelStream(self)
        self.streams.append(stream)
        return stream

    def open(self, hello: Hello, frame: RingOpened) -> Entry:
        """Return the entry of a ring; a new one starts where it was settled."""
        key = (hello.host_id, frame.ring_id)
        start = Position(frame.settled_seq, dict(frame.totals))
        self.has_news = True
        return self.table.setdefault(key, Entry(key, start))

    def overtake(self, entry: Entry, segment: Segment) -> None:
        """Let a position move that a stream relies on."""
        seqs = decode_events(segment)
        if seqs is None:
            segment = as_rejected(segment)
        else:
            self.oracle.deliver(entry.key[1], segment, seqs)
        entry.position = advanced(entry.position, segment)
        self.oracle.commit(entry.key[1], segment)
        self.has_news = True
        self.flush()

    def flush(self) -> None:
        """Make all positions durable, and only then acknowledge."""
        if self.has_news:
            self.has_news = False
            self.durable = {key: entry.position for key, entry in self.table.items()}
        for stream in self.streams:
            stream.acknowledge()

    def secure(self, _entry: Entry) -> None:
        """Make durable what is about to be told of a ring."""
        self.flush()


class ModelStream:
    """One collector's stream: frames wait in `inbox` until `step` takes one."""

    def __init__(self, hub: ModelHub) -> None:
        self.hub = hub
        self.stopped = threading.Event()
        self.inbox: deque[bytes] = deque()
        self.error: RemoteProtocolError | None = None
        self.protocol = hub.make_protocol(TERMS, hub.now())
        self._hello: Hello | None = None
        self._predecessors: list[LiveStream] = []
        self._entries: dict[int, Entry] = {}
        self._work: _Work | None = None
        self._committed_seq = self._acknowledged_seq = 0
        self._ending: tuple[int, str] | None = None

    # -- what the fleet asks -------------------------------------------------

    def welcome(self, policy: Policy | None) -> None:
        """Accept the collector."""
        assert policy is None
        self.protocol.accept(self.hub.now())

    def push_policy(self, policy: Policy) -> None:
        """Policies have tests of their own."""

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Ask the collector to leave."""
        self.protocol.drain(reason, delay_ms, deadline_ms)

    def end(self, code: int, message: str) -> None:
        """Have the stream end after the batch in work: see `settle`."""
        self._ending = self._ending or (code, message)

    # -- work ----------------------------------------------------------------

    def step(self) -> bool:
        """Do the next piece of work; say whether there was any."""
        self.settle()
        if self.stopped.is_set():
            return False
        if self._work is not None:
            self._go_on(self._work)
            return True
        if not self.inbox or self._must_wait():
            return False
        try:
            self._act(self.inbox.popleft())
        except RemoteProtocolError as error:
            self.error = error
            self._ending = (ErrorCode.PROTOCOL_VIOLATION, str(error))
        self.settle()
        return True

    def settle(self) -> None:
        """Stop if that was asked for and nothing is in work."""
        if self._ending is not None and self._work is None:
            self.stop()

    def acknowledge(self) -> None:
        """Answer what is committed, since it is durable."""
        if self._acknowledged_seq < self._committed_seq and not self.protocol.is_over:
            self._acknowledged_seq = self._committed_seq
            self.protocol.acknowledge(self._committed_seq, self.hub.now())

    def stop(self) -> None:
        """Stop, and say why if there is a reason."""
        if self.stopped.is_set():
            return
        if self._ending is not None and not self.protocol.is_over:
            self.protocol.end(*self._ending)
        self.inbox.clear()
        self.hub.fleet.leave(self)
        self.stopped.set()

    def outgoing(self) -> list[bytes]:
        """Take what goes to the collector."""
        return [encode_hub_frame(frame) for frame in self.protocol.outgoing()]

    @property
    def ended_with(self) -> str:
        """Why the hub has ended it; the name of an error, or else how it ended."""
        return "left" if self._ending is None else ErrorCode(self._ending[0]).name

    def is_working(self) -> bool:
        """Say whether a batch is being worked on."""
        return self._work is not None

    def _must_wait(self) -> bool:
        """Say whether the next frame opens a ring that others may still advance."""
        if all(older.stopped.is_set() for older in self._predecessors):
            return False
        return isinstance(decode_collector_frame(self.inbox[0]), RingOpened)

    def _act(self, data: bytes) -> None:
        frame = self.protocol.receive(decode_collector_frame(data), self.hub.now())
        match frame:
            case Hello():
                self._hello = frame
                self._predecessors = self.hub.fleet.admit(frame, self)
            case RingOpened():
                assert self._hello is not None
                entry = self.hub.open(self._hello, frame)
                self.hub.secure(entry)
                self._entries[frame.ring] = entry
                self.protocol.resume(frame.ring, entry)
            case Batch():
                self._work = _Work(frame, deque(frame.segments))
            case Bye():
                self.stop()

    def _go_on(self, work: _Work) -> None:
        if work.segments:
            segment = work.segments.popleft()
            seqs = decode_events(segment)
            if seqs is None:
                work.rejected[segment.ring] = "poison"
            else:
                ring_id = self._entries[segment.ring].key[1]
                self.hub.oracle.deliver(ring_id, segment, seqs)
            return
        self._work = None
        batch = self.protocol.commit(work.batch, work.rejected)
        self._committed_seq, self.hub.has_news = batch.batch_seq, True
        for segment in batch.segments:
            self.hub.oracle.commit(self._entries[segment.ring].key[1], segment)
