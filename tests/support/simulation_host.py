"""A host of a simulation, and the network between it and the hub.

Rules: both only schedule; what is drawn comes from the generator of the simulation.
"""

from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from shmtel.wire.codec import decode_hub_frame, encode_collector_frame
from shmtel.wire.collector_events import Acked
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import Batch, ErrorCode
from shmtel_collector.redial import Nearby
from support.wire_hub import ModelStream
from support.wire_rings import Flaw, ModelCollector, ModelRing

if TYPE_CHECKING:
    from support.simulation import Simulation

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
_FENCED = (ErrorCode.SUPERSEDED, ErrorCode.STALE_EPOCH)


class Link:
    """One stream's way: frames arrive in order and late, and at times not at all."""

    def __init__(self, world: "Simulation", host: "Host", stream: ModelStream) -> None:
        self.world, self.host, self.stream = world, host, stream
        self.latency_ns = world.random.choice((1, 5, 30)) * MILLISECOND
        self.is_lossy = self.drops_batch = False
        self.is_up_dead = self.is_down_dead = False
        self._up_ns = self._down_ns = 0

    def send_up(self, data: bytes) -> None:
        """Carry a frame to the hub."""
        self._up_ns = max(self._up_ns, self.world.now_ns + self._latency_ns())
        self.world.at(self._up_ns, self._arrive_up, data)

    def send_down(self, data: bytes) -> None:
        """Carry a frame to the collector."""
        self._down_ns = max(self._down_ns, self.world.now_ns + self._latency_ns())
        self.world.at(self._down_ns, self._arrive_down, data)

    def close_down(self) -> None:
        """Have the collector see the end of the stream behind the last frame."""
        self._down_ns = max(self._down_ns, self.world.now_ns + self._latency_ns())
        self.world.at(self._down_ns, self._end_down)

    def close_up(self, after_ns: int) -> None:
        """Have the hub see the end of the stream behind the last frame."""
        self.world.at(max(self._up_ns, self.world.now_ns) + after_ns, self._end_up)

    def _arrive_up(self, data: bytes) -> None:
        if not self.is_up_dead and not self.stream.stopped.is_set():
            self.stream.inbox.append(data)
            self.world.work(self.stream)

    def _arrive_down(self, data: bytes) -> None:
        if not self.is_down_dead and self.host.link is self:
            self.host.receive(data)

    def _end_down(self) -> None:
        if not self.is_down_dead and self.host.link is self:
            self.host.lose("the stream has ended")

    def _end_up(self) -> None:
        stream = self.stream
        if stream.stopped.is_set():
            return
        if stream.inbox or stream.is_working():
            self.world.after(20 * MILLISECOND, self._end_up)
        else:
            stream.stop()

    def _latency_ns(self) -> int:
        return self.world.random.randrange(self.latency_ns)


class Host:
    """A host: its collector, and the stream that it has or dials."""

    def __init__(self, world: "Simulation", name: str, rings: list[ModelRing]) -> None:
        self.world, self.name = world, name
        self.collector = ModelCollector(name, rings)
        self.link: Link | None = None
        self.frozen_until_ns = 0
        self.is_dead = False
        self._pace = Nearby(world.random.uniform)
        self._dials = count()
        self._inbox: deque[bytes] = deque()

    def dial(self, number: int | None = None) -> None:
        """Open a stream, unless a newer attempt is under way."""
        if self.is_dead or self.link is not None:
            return
        if number is not None and number != self._last_dial:
            return
        world = self.world
        if not world.is_hub_up:
            self._redial("refused", self._pace.next_delay())
            return
        self.link = Link(world, self, world.connect())
        world.links[self.link.stream] = self.link
        world.note("dials", self.name)
        self.collector.begin(world.now_ns)
        self.flush()

    def lose(self, reason: str) -> None:
        """Lose the stream, and dial again later."""
        link, self.link = self.link, None
        self._inbox.clear()
        if link is not None:
            link.close_up(self.world.random.randrange(2_000) * MILLISECOND)
        redial_ms = self.collector.redial_ms
        self.collector.end()
        delay = self._pace.next_delay() if redial_ms is None else redial_ms / 1e3
        self._redial(reason, delay)

    def crash(self, down_ns: int) -> None:
        """Be killed, and start again later."""
        self.is_dead = True
        link, self.link = self.link, None
        self._inbox.clear()
        if link is not None:
            link.close_up(self.world.random.randrange(2_000) * MILLISECOND)
        self.collector.restart()
        self.world.after(down_ns, self._start)

    def step(self) -> None:
        """Make a pass over the rings, and come back later."""
        world = self.world
        world.after(world.random.randrange(10, 100) * MILLISECOND, self.step)
        if self.link is None or world.now_ns < self.frozen_until_ns:
            return
        collector, protocol = self.collector, self.collector.protocol
        assert protocol is not None
        try:
            collector.take(protocol.tick(world.now_ns))
        except RemoteProtocolError as error:
            world.seen[str(error)] += 1
            self.lose(str(error))
            return
        collector.open_rings()
        rings = collector.rings
        chosen = world.random.sample(rings, world.random.randint(1, len(rings)))
        while collector.send(chosen, world.random.randint(1, 40)):
            pass
        if world.random.random() < 0.03:
            collector.send_counters()
        self.flush()

    def receive(self, data: bytes) -> None:
        """Act on a frame of the hub; a frozen process does so when it goes on."""
        self._inbox.append(data)
        if self.world.now_ns >= self.frozen_until_ns:
            self._read()
        elif len(self._inbox) == 1:
            self.world.at(self.frozen_until_ns, self._thaw)

    def _thaw(self) -> None:
        if self.world.now_ns < self.frozen_until_ns:
            self.world.at(self.frozen_until_ns, self._thaw)
        else:
            self._read()

    def _read(self) -> None:
        while self._inbox:
            self._act(self._inbox.popleft())

    def _act(self, data: bytes) -> None:
        world, protocol = self.world, self.collector.protocol
        assert protocol is not None
        events = protocol.receive(decode_hub_frame(data), world.now_ns)
        world.note("receives", self.name, events)
        for event in events:
            world.seen[type(event).__name__] += 1
        if any(isinstance(event, Acked) for event in events):
            self._pace.proven()
        try:
            self.collector.take(events)
        except RemoteProtocolError as error:
            if self.collector.ended_with in _FENCED:
                raise Flaw(f"{self.name} was fenced: {error}") from error
            self.lose(str(error))
        self.flush()

    def flush(self) -> None:
        """Send what the protocol has to say."""
        protocol, link = self.collector.protocol, self.link
        if protocol is None or link is None:
            return
        for frame in protocol.outgoing():
            if link.drops_batch and isinstance(frame, Batch):
                link.drops_batch = False
                self.world.note("drops", self.name, frame)
                continue
            self.world.note("sends", self.name, frame)
            link.send_up(encode_collector_frame(frame))

    def _redial(self, reason: str, delay: float) -> None:
        self._last_dial = next(self._dials)
        self.world.note("waits", self.name, reason, delay)
        self.world.after(int(delay * SECOND) + MILLISECOND, self.dial, self._last_dial)

    def _start(self) -> None:
        self.is_dead = False
        self.dial()
