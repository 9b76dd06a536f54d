"""Between the rings and the stream: what is drained goes out, answers come back.

One session lives as long as the collector; it makes a protocol object per
stream and throws it away whole when the stream is lost. Everything here happens
in one thread, between awaits of the caller, so nothing needs a lock.

Rules:
- a policy acts when it is received, not at the next pass, and is answered;
- a hub that asks to be drained is sent nothing more, and left alone for as long
  as it says: what it still answers counts;
- nothing here knows about sockets or tasks; time comes in as an argument.
"""

from collections.abc import Callable

from shmtel.policy.model import PolicyStatus
from shmtel.wire.codec import decode_hub_frame
from shmtel.wire.collector_events import (
    Acked,
    DrainAsked,
    Ended,
    Event,
    HubSilent,
    PolicyReceived,
    Resumed,
    Welcomed,
)
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.errors import RemoteProtocolError, VersionMismatch
from shmtel.wire.frames import CollectorFrame, ErrorCode
from shmtel_collector import settlement
from shmtel_collector.batch import CEILING_BYTES, BatchBuilder
from shmtel_collector.counting import Counting
from shmtel_collector.drain import Drain, Pass
from shmtel_collector.fleet import Fleet
from shmtel_collector.link import Link
from shmtel_collector.logs import ConditionLog
from shmtel_collector.origin import Origin
from shmtel_collector.ring import Ring, State
from shmtel_collector.steering import Steering

OVERDUE_NS = 50_000_000  # an answer that is older is not to be waited for
_FENCED = frozenset({ErrorCode.SUPERSEDED, ErrorCode.STALE_EPOCH})


class Session:
    """Carries the fleet's events to the hub, stream after stream."""

    def __init__(
        self,
        fleet: Fleet,
        steering: Steering,
        counting: Counting,
        origin: Origin,
        log: ConditionLog,
    ) -> None:
        self.fenced: str | None = None  # why this collector must give way
        self.wants_pass = False  # a pass should not wait for the next tick
        self._fleet = fleet
        self._steering = steering
        steering.on_change = self.answer
        self._counting = counting
        self._origin = origin
        self._streams = 0
        self._log = log
        self._protocol: CollectorProtocol | None = None
        self._numbers: dict[int, Ring] = {}
        self._announced: set[bytes] = set()  # a stream takes a ring once
        self._has_outgrown = False  # one of them waits for the next stream
        self._is_welcome = False
        self._is_starved = False  # the last pass ended for want of room
        self._unanswered = 0  # batches
        self._redial_seconds: float | None = None  # after which the hub wants it
        self._welcomes = 0
        self._drain = Drain()
        self._on_event: dict[type, Callable[..., None]] = {
            Welcomed: self._on_welcomed,
            Resumed: self._on_resumed,
            Acked: self._on_acked,
            PolicyReceived: self._on_policy,
            DrainAsked: self._on_drain_asked,
            Ended: self._on_ended,
            HubSilent: self._on_silent,
        }

    # -- the stream ----------------------------------------------------------

    def begin(self, now_ns: int) -> None:
        """Start a stream: the hello is ready to go out."""
        self._streams += 1
        hello = self._origin.hello(self._steering.regime, self._streams)
        self._protocol = CollectorProtocol(hello, now_ns)

    def end(self) -> float | None:
        """Forget the stream; what is not acknowledged will be drained again.

        Returns:
            After how many seconds the hub asked to be dialled again; None: it
            did not say.
        """
        self._protocol = None
        self._is_welcome = self._is_starved = self.wants_pass = False
        self._has_outgrown = False
        self._unanswered = 0
        self._numbers.clear()
        self._announced.clear()
        self._counting.forget()
        self._fleet.suspend()
        redial_seconds, self._redial_seconds = self._redial_seconds, None
        return redial_seconds

    def receive(self, data: bytes, now_ns: int) -> bool:
        """Act on a frame of the hub; say whether the hub acknowledged something.

        Raises:
            RemoteProtocolError: the stream is to end.
        """
        frame = decode_hub_frame(data)
        if self._protocol is None or frame is None:
            return False
        events = self._protocol.receive(frame, now_ns)
        self._dispatch(events)
        return any(isinstance(event, Acked) for event in events)

    def has_outgoing(self) -> bool:
        """Say whether there are frames to be sent."""
        return self._protocol is not None and self._protocol.has_outgoing()

    def outgoing(self) -> list[CollectorFrame]:
        """Take the frames that are to be sent, in order."""
        return [] if self._protocol is None else self._protocol.outgoing()

    def tick(self, now_ns: int) -> None:
        """Let the protocol look at the clock.

        Raises:
            RemoteProtocolError: the hub has fallen silent, or the stream has to make
                place for another.
        """
        if self._protocol is not None:
            self._dispatch(self._protocol.tick(now_ns))
            if self._has_outgrown and self.is_relieving(now_ns):
                raise RemoteProtocolError("rings have moved to the spool meanwhile")
            if self._is_welcome:
                self._counting.tick(self._protocol, now_ns)

    def is_welcome(self) -> bool:
        """Say whether there is a hub that takes what is drained."""
        return self._is_welcome

    def link(self, now_ns: int) -> Link:
        """Return how the link to the hub is."""
        age_ns = 0
        if self._protocol is not None:
            age_ns = self._protocol.oldest_unacked_age_ns(now_ns)
        return Link(self._is_welcome, self._welcomes, age_ns)

    def is_relieving(self, now_ns: int) -> bool:
        """Say whether the hub takes what is sent, and answers in time."""
        if self._protocol is None or not self._is_welcome:
            return False
        return self._protocol.oldest_unacked_age_ns(now_ns) < OVERDUE_NS

    def is_settled(self) -> bool:
        """Say whether nothing that was sent still waits for its answer."""
        return self._unanswered == 0

    def may_be_answered(self) -> bool:
        """Say whether there is a hub, or one that leaves has not answered all yet."""
        return self._is_welcome or not self.is_settled()

    def bye(self, reason: str) -> None:
        """End the stream in good order."""
        if self._protocol is not None and self._is_welcome:
            self._is_welcome = False  # nothing may follow it
            self._counting.tell(self._protocol)
            self._protocol.bye(reason)

    # -- the rings -----------------------------------------------------------

    def open(self, ring: Ring) -> None:
        """Announce a ring, if there is a stream to announce it on."""
        protocol = self._protocol
        if protocol is None or not self._is_welcome or ring.number:
            return
        if ring.state is State.CLOSED:  # the hub knows its end, and would forget it
            return
        if ring.ring_id in self._announced:  # by the ring that was buried since
            self._has_outgrown = True
            return
        source = ring.source
        totals = settlement.to_table(source.totals)
        ring.number = protocol.open_ring(
            ring.ring_id, ring.worker, source.settled_seq, totals
        )
        self._numbers[ring.number] = ring
        self._announced.add(ring.ring_id)

    def drain(self) -> Pass:
        """Make one pass over the rings, as far as the stream has room."""
        if not self._is_welcome:
            self.wants_pass = False
            return Pass()
        result = self._drain.run(self._fleet.served(), self)
        self._is_starved = result.is_starved
        self.wants_pass = result.is_hungry and not result.is_starved
        return result

    def has_room(self) -> bool:
        """Say whether one batch may be sent now."""
        return self._protocol is not None and self._protocol.room() >= CEILING_BYTES

    def announce(self, ring: Ring) -> None:
        """Send the names of a ring that the hub does not have yet."""
        assert self._protocol is not None
        first = ring.announced_names
        if first < len(ring.names):
            self._protocol.add_names(ring.number, first, ring.names[first:])
            ring.announced_names = len(ring.names)

    def send(self, batch: BatchBuilder) -> None:
        """Hand a batch to the protocol."""
        assert self._protocol is not None
        self._protocol.send_batch(batch.segments, batch.closed)
        self._unanswered += 1

    def answer(self, status: PolicyStatus) -> None:
        """Tell the hub what is in force here, if there is a stream to tell it on."""
        if self._protocol is not None and self._is_welcome:
            self._protocol.answer_policy(status)

    # -- what the hub says ---------------------------------------------------

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            self._on_event[type(event)](event)

    def _on_welcomed(self, event: Welcomed) -> None:
        largest = event.welcome.max_batch_bytes
        if largest < CEILING_BYTES:
            raise RemoteProtocolError(
                f"the hub takes batches of {largest} bytes; {CEILING_BYTES} are needed"
            )
        self._is_welcome = True
        self._welcomes += 1
        self._log.info("connected to hub %s", event.welcome.hub_id)
        self.answer(self._steering.status())
        for ring in self._fleet.served():
            self.open(ring)

    def _on_resumed(self, event: Resumed) -> None:
        self._numbers[event.ring].resume(event.last_seq, event.totals)
        self.wants_pass = True

    def _on_acked(self, event: Acked) -> None:
        self._unanswered -= 1
        self.wants_pass |= self._is_starved
        for part in event.rejected:
            self._log.warning(
                "rejected",
                "the hub rejected what worker %s sent: %s",
                self._numbers[part.ring].worker.worker_id,
                part.reason,
            )
        for segment in event.batch.segments:
            self._numbers[segment.ring].acknowledge(segment)
        for closed in event.batch.closed:
            # The hub has forgotten it too: should it come back, it is a new one.
            ring = self._numbers.pop(closed.ring)
            self._announced.discard(ring.ring_id)
            self._fleet.remove(ring)

    def _on_policy(self, event: PolicyReceived) -> None:
        self.answer(self._steering.receive(event.policy))

    def _on_drain_asked(self, event: DrainAsked) -> None:
        self._is_welcome = False
        self._redial_seconds = event.delay_ms / 1e3
        self._log.info("the hub asks to be dialled again later: %s", event.reason)

    def _on_ended(self, event: Ended) -> None:
        self._is_welcome = False
        error = event.error
        if error.code in _FENCED:
            self.fenced = error.message
        text = f"the hub ended the stream: {error.message}"
        if error.code == ErrorCode.PROTOCOL_VERSION:
            raise VersionMismatch(text)
        raise RemoteProtocolError(text)

    def _on_silent(self, event: HubSilent) -> None:
        self._is_welcome = False
        silent_seconds = event.silent_ns / 1e9
        raise RemoteProtocolError(f"the hub is silent for {silent_seconds:.1f} s")
