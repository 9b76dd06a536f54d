"""A collector and a hub in one thread: real rings, real protocol, no network.

The parts are the real ones up to the bytes of the frames; what is left out is
the channel and the clock, which a test moves by hand.
"""

import select
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgpack

from shmtel import catalog
from shmtel.policy.model import Policy, PolicyStatus
from shmtel.procfs import this_host
from shmtel.wire.codec import (
    decode_collector_frame,
    encode_collector_frame,
    encode_hub_frame,
)
from shmtel.wire.frames import (
    Batch,
    Bye,
    Counters,
    Hello,
    NamesAdded,
    RingOpened,
    Welcome,
)
from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.protocol import Position
from shmtel_collector.config import state_path
from shmtel_collector.counting import Counting
from shmtel_collector.deathwatch import Deathwatch
from shmtel_collector.discovery import Discovery
from shmtel_collector.drain import Pass
from shmtel_collector.enforcement import Enforcement
from shmtel_collector.fleet import Fleet
from shmtel_collector.guard import Guard
from shmtel_collector.hoard import Hoard
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.journal import Measurements, Metadata
from shmtel_collector.lifecycle import Lifecycle
from shmtel_collector.lives import Lives
from shmtel_collector.origin import Origin
from shmtel_collector.pools import Pools
from shmtel_collector.session import Session
from shmtel_collector.spool import Spool
from shmtel_collector.spooled_rings import SpooledRings
from shmtel_collector.spooling import Spooling
from shmtel_collector.state import State
from shmtel_collector.steering import Clocks, Steering
from shmtel_collector.validation import Validation
from support.home import HOME
from support.quiet_log import QuietLog

SECOND_NS = 1_000_000_000
TERMS = Welcome(0, "memory", 1 << 20, 256 << 10, 1000)


@dataclass
class HubRing:
    """What the hub knows of a ring."""

    position: Position
    worker_id: str
    names: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)  # of the delivered events
    closed: str | None = None


class MemoryHub:
    """A hub whose table outlives its streams."""

    def __init__(self, terms: Welcome = TERMS) -> None:
        self.terms = terms
        self.rings: dict[bytes, HubRing] = {}
        self.is_holding = False
        self.batches = 0
        self.has_bye = False
        self.marks: list[int] = []  # `resent_through` of the segments
        self.hello: Hello | None = None
        self.statuses: list[PolicyStatus] = []
        self.counters: list[Counters] = []
        self._held: list[bytes] = []
        self.connect()

    def connect(self) -> None:
        """Forget the stream and await the next."""
        self._protocol = HubProtocol(self.terms, 0)
        self._numbers: dict[int, HubRing] = {}
        self._held.clear()

    def forget(self, ring_id: bytes, last_seq: int) -> None:
        """Lose state: take a ring back to an earlier seq, all of it delivered."""
        self.rings[ring_id].position = Position(last_seq, {0: last_seq})

    def push(self, policy: Policy) -> None:
        """Send a policy."""
        self._protocol.push_policy(policy)

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Ask the collector to leave."""
        self._protocol.drain(reason, delay_ms, deadline_ms)

    def end(self, code: int, message: str) -> None:
        """End the stream with an error."""
        self._protocol.end(code, message)

    def receive(self, data: bytes) -> None:
        """Act on a frame of the collector; while it is holding, on no batch."""
        if self.is_holding and isinstance(decode_collector_frame(data), Batch):
            self._held.append(data)
        else:
            self._act(data)

    def release(self) -> None:
        """Act on the batches that were held."""
        self.is_holding = False
        held, self._held = self._held, []
        for data in held:
            self._act(data)

    def _act(self, data: bytes) -> None:
        frame = self._protocol.receive(decode_collector_frame(data), 0)
        match frame:
            case Hello():
                self.hello = frame
                self._protocol.accept(0)
            case Counters():
                self.counters.append(frame)
            case PolicyStatus():
                self.statuses.append(frame)
            case Bye():
                self.has_bye = True
            case RingOpened():
                self._open(frame)
            case NamesAdded():
                self._numbers[frame.ring].names.extend(frame.names)
            case Batch():
                self._handle(frame)

    def _handle(self, batch: Batch) -> None:
        self.batches += 1
        for segment in batch.segments:
            ring = self._numbers[segment.ring]
            events = msgpack.unpackb(segment.events)
            assert len(events) == segment.delivered
            assert all(event[0] < len(ring.names) for event in events)
            ring.seqs.extend(event[1] for event in events)
            self.marks.append(segment.resent_through)
        for closed in batch.closed:
            self._numbers[closed.ring].closed = closed.reason
        self._protocol.commit(batch)
        self._protocol.acknowledge(batch.batch_seq, 0)

    def outgoing(self) -> list[bytes]:
        """Take what goes to the collector."""
        return [encode_hub_frame(frame) for frame in self._protocol.outgoing()]

    def _open(self, frame: RingOpened) -> None:
        start = Position(frame.settled_seq, dict(frame.totals))
        ring = self.rings.setdefault(
            frame.ring_id, HubRing(start, frame.worker.worker_id)
        )
        ring.names.clear()  # announced again on every stream
        self._numbers[frame.ring] = ring
        self._protocol.resume(frame.ring, ring)


class PolledWatcher:
    """Watches descriptors, and calls back when the test asks it to look."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[], None]] = {}

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Begin to watch."""
        self._callbacks[fd] = callback

    def remove(self, fd: int) -> None:
        """Cease to watch."""
        del self._callbacks[fd]

    def fire(self) -> bool:
        """Call back for what is readable; say whether anything was."""
        ready, _, _ = select.select(list(self._callbacks), [], [], 0)
        for fd in ready:
            self._callbacks[fd]()
        return bool(ready)


class ListJournal:
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Measurements, Metadata]] = []
        self.is_open = True

    def record(
        self, event: str, measurements: Measurements, metadata: Metadata
    ) -> None:
        """Note an event."""
        self.events.append((event, measurements, metadata))

    def prepare(self) -> None:
        """It is ready."""

    def close(self) -> None:
        """Nothing is open."""

    def names(self) -> list[str]:
        """Names of the events, in order."""
        return [name for name, _, _ in self.events]


class MemoryLine:
    """A collector connected to a hub, moved step by step."""

    def __init__(
        self,
        namespace: str,
        state_dir: Path,
        spool_max_bytes: int | None = None,
        *,
        tells_lives: bool = False,
        status_interval_ns: int = 0,
    ) -> None:
        """Start a collector; with a size it has a spool."""
        self.spool_path: Path | None = None
        self.spool_max_bytes = spool_max_bytes or 0
        if spool_max_bytes is not None:
            self.spool_path = state_dir / "spool" / f"{namespace}.spool.sqlite3"
        self.hub = MemoryHub()
        self.log = QuietLog()
        self.journal = ListJournal()
        self.guard = Guard()
        self.catalog = catalog.load()
        self.now_ns = 1  # by every clock
        self.started_ns = 1
        self.tells_lives = tells_lives
        self.status_interval_ns = status_interval_ns
        self.database_path = state_path(namespace, state_dir)
        self._namespace = namespace
        self._is_connected = False
        self._start()

    def connect(self) -> None:
        """Open a stream and let everything settle."""
        self.hub.connect()
        self.session.begin(self.now_ns)
        self._is_connected = True
        self.step()

    def bury(self) -> None:
        """Let the spool take all rings, whose workers are dead."""
        self.step()
        self.step(SECOND_NS)
        assert HOME.scan(self._namespace) == []

    def deliver(self) -> None:
        """Open a stream, and let what is in the spool go out."""
        self.connect()
        for _ in range(3):
            self.step(SECOND_NS)

    def cut(self) -> None:
        """Lose the stream, with all that is under way on it."""
        self._is_connected = False
        self.session.end()

    def crash(self) -> None:
        """End the collector and start another; rings and database stay."""
        self.close()
        self._start()

    def kill(self) -> None:
        """Kill the collector and start another: nothing is put in order before."""
        self._is_connected = False
        for ring in self.fleet.rings.values():
            ring.source.close()
        self.state.close()
        self.spool.abandon()
        self._start()

    def close(self) -> None:
        """Let go of rings and database."""
        if self._is_connected:
            self.cut()
        self.fleet.close()
        self.state.close()
        self.spool.close()

    def let_disk_fail(self, fails: bool) -> None:
        """Make every write of the state database fail, or succeed again."""
        database = self.state._database
        database.execute(f"PRAGMA query_only = {int(fails)}")

    def step(self, after_ns: int = 0) -> Pass:
        """Look, drain and exchange frames until nothing moves any more."""
        self.now_ns += after_ns
        self.steering.tick()
        attached = self.fleet.tick(self.now_ns, self.now_ns)
        is_connected = self.session.is_welcome()
        if is_connected:
            attached += self.fleet.load_spooled(self.now_ns)
        for ring in attached:
            self.session.open(ring)
        has_hub = self.session.may_be_answered()
        self.hoard.tick(self.now_ns, self.now_ns, is_connected=has_hub)
        found = Pass()
        for _ in range(1000):
            self.exchange()
            one = self.session.drain()
            is_behind = self.spool_some(one)
            found.events += one.events
            if one.events == 0 and not self.exchange() and not is_behind:
                break
        return found

    def spool_some(self, found: Pass | None = None) -> bool:
        """Let the spool take what is due; say whether there is more."""
        is_relieved = self.session.is_relieving(self.now_ns)
        return self.spooling.tick(self.now_ns, found or Pass(), is_relieved=is_relieved)

    def exchange(self) -> bool:
        """Carry what is waiting, both ways; say whether there was anything."""
        if not self._is_connected:
            return False
        up = self.session.outgoing()
        for frame in up:
            self.hub.receive(encode_collector_frame(frame))
        down = self.hub.outgoing()
        for data in down:
            self.session.receive(data, self.now_ns)
        return bool(up or down)

    def send_unanswered(self) -> None:
        """Drain and send, let the hub work, and lose its answers with the stream."""
        self.session.drain()
        for frame in self.session.outgoing():
            self.hub.receive(encode_collector_frame(frame))
        self.cut()

    def _start(self) -> None:
        self.state = State(self.database_path)
        discovery = Discovery(self._namespace, self.log, HOME)
        self.watcher = PolledWatcher()
        policies = self.state.policies
        self.validation = Validation(self.catalog, self.log)
        self.enforcement = Enforcement(policies, "node", self.log, self.validation)
        self.spool = Spool(
            *(self.spool_path, self.spool_max_bytes, self.log), lambda: self.now_ns
        )
        lifecycle = Lifecycle(self.state.ends, self.journal, self.log)
        host = this_host()
        self.lives = Lives(
            *(self.state.lives, self.journal, self.log, host.boot_id, self.started_ns),
            is_told=self.tells_lives,
        )
        self.pools = Pools(self.journal, self.status_interval_ns, self.started_ns)
        self.deathwatch = Deathwatch(self.watcher, host)
        spooled = SpooledRings(
            *(self.spool, self.state, discovery.awaits, lifecycle.settle, self.log)
        )
        self.fleet = Fleet(
            *(discovery, self.state, self.enforcement),
            *(self.deathwatch, 1, self.spool, spooled, self.log),
            *(lifecycle, self.lives, self.pools),
        )
        self.hoard = Hoard(self.fleet, HOME, self.spool)
        self.spooling = Spooling(self.spool, self.fleet)
        clocks = Clocks(lambda: self.now_ns, lambda: self.now_ns)
        self.steering = Steering(
            *(self.fleet.rings, policies, self.guard, self.enforcement),
            *(self.journal, clocks, self.log),
        )
        origin = Origin("node", self.state.host_id(), self._namespace, 1)
        counts = HostCounts(
            self.fleet, self.state.tally, self.spool, HOME, self._namespace
        )
        counting = Counting(self.fleet, counts)
        self.session = Session(self.fleet, self.steering, counting, origin, self.log)


def seqs_up_to(last: int) -> list[int]:
    """Return the seqs of a ring whose every event was delivered."""
    return list(range(1, last + 1))
