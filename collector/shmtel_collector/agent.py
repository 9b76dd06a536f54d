"""The loop: looks for rings, drains them, sleeps until there is a reason not to.

One thread. The uplink's tasks run while the loop sleeps, so the loop is never
made to wait for the stream. It wakes at the next tick, or sooner: more waits in
a ring than a tick should hold, the hub has made room, a worker has died, a rule
expires.

Stopping: a last pass or more, up to a second for the answers, a farewell, and
the channel is closed within a deadline. What is not acknowledged by then stays
in the rings, for the next collector, or goes to the spool if there is no hub.
"""

import asyncio
import contextlib
import time

from shmtel.errors import ShmtelError
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel_collector.deathwatch import Deathwatch
from shmtel_collector.drain import Pass
from shmtel_collector.fleet import Fleet
from shmtel_collector.hoard import Hoard
from shmtel_collector.link_events import JournalSink, LinkEvents
from shmtel_collector.logs import ConditionLog
from shmtel_collector.pace import Pace
from shmtel_collector.redial import redial_of
from shmtel_collector.resources import Resources
from shmtel_collector.session import Session
from shmtel_collector.spooling import Spooling
from shmtel_collector.steering import Steering
from shmtel_collector.uplink import METHOD, Uplink

ANSWER_SECONDS = 1.0
FAREWELL_SECONDS = 0.2
# Of the loop, between two passes that follow at once. A frame of the hub takes three
# from its socket to whom it is meant for, and an operator waits for each pass.
TURNS = 3
# After a pause this long of our own, what the hub sent is still unread: its
# silence says nothing.
STALL_NS = 500_000_000


class Superseded(ShmtelError):
    """A newer collector of the same host and namespace has taken over."""


class Agent:
    """Runs a fleet and its session until told to stop."""

    def __init__(
        self,
        fleet: Fleet,
        session: Session,
        steering: Steering,
        hoard: Hoard,
        spooling: Spooling,
        resources: Resources,
        deathwatch: Deathwatch,
        hub: str,
        log: ConditionLog,
        link_sink: JournalSink,
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._steering = steering
        self._hoard = hoard
        self._spooling = spooling
        self._resources = resources
        self._deathwatch = deathwatch
        events = LinkEvents(hub, METHOD, link_sink)
        self._uplink = Uplink(
            hub, session, self._on_received, redial_of(hub), log, events
        )
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._last_ns = time.monotonic_ns()
        self._pace = Pace(self._last_ns)

    @property
    def last_pass_ns(self) -> int:
        """When the last pass began, by the monotonic clock."""
        return self._last_ns

    def stop(self) -> None:
        """End the loop soon."""
        self._is_stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Make the next pass now."""
        self._wake.set()

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            Superseded: the hub has given this collector's place to another.
        """
        uplink = asyncio.create_task(self._uplink.run())
        try:
            while not self._is_stopping:
                self._check(uplink)
                await self._sleep(self._step())
            await self._say_farewell()
        finally:
            uplink.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await uplink

    def _check(self, uplink: asyncio.Task[None]) -> None:
        if self._session.fenced is not None:
            raise Superseded(
                f"gave way: {self._session.fenced}. One collector per host and "
                "namespace; do hosts share a copied --state-dir?"
            )
        if uplink.done():  # it never ends by itself
            uplink.result()

    def _step(self) -> int:
        """Do all that is due; return how many ns the next step may wait."""
        now_ns = time.monotonic_ns()
        self._steering.tick()
        realtime_ns = time.time_ns()
        attached = self._fleet.tick(now_ns, realtime_ns)
        is_connected = self._session.is_welcome()
        has_hub = self._session.may_be_answered()
        self._hoard.tick(now_ns, realtime_ns, is_connected=has_hub)
        self._resources.tick(now_ns, self._deathwatch.lifelines())
        if attached:
            self._pace.hurry()
        if is_connected:
            attached += self._fleet.load_spooled(now_ns)
        try:
            for ring in attached:
                self._session.open(ring)
            self._tick_session(now_ns)
            found = self._session.drain()
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._uplink.abort(str(error))
            found = Pass()
        is_relieved = self._session.is_relieving(now_ns)
        is_behind = self._spooling.tick(now_ns, found, is_relieved=is_relieved)
        self._uplink.flush()
        self._pace.observe(now_ns, found.events, found.fill)
        is_hurried = is_behind or self._session.wants_pass
        return 0 if is_hurried else self._until_next_ns()

    def _until_next_ns(self) -> int:
        interval_ns = self._pace.interval_ns()
        expiry_ns = self._steering.until_expiry_ns()
        return interval_ns if expiry_ns is None else min(interval_ns, expiry_ns)

    def _tick_session(self, now_ns: int) -> None:
        has_stalled = now_ns - self._last_ns > STALL_NS
        self._last_ns = now_ns
        if not has_stalled:
            self._session.tick(now_ns)

    def _on_received(self) -> None:
        """A frame of the hub was acted on."""
        if self._session.wants_pass or self._session.fenced is not None:
            self._wake.set()

    async def _sleep(self, delay_ns: int) -> None:
        if delay_ns == 0:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(delay_ns / 1e9, self._wake.set)
        await self._wake.wait()
        alarm.cancel()
        self._wake.clear()

    async def _say_farewell(self) -> None:
        deadline_ns = time.monotonic_ns() + int(ANSWER_SECONDS * 1e9)
        self._step()  # a ring of our own may have been made just now
        self._steering.close()
        self._fleet.end_own()
        delay_ns = self._step()
        while time.monotonic_ns() < deadline_ns:
            if delay_ns > 0 and self._session.is_settled():
                break
            await self._sleep(min(delay_ns, 5_000_000))
            delay_ns = self._step()
        if not self._session.is_welcome():
            self._spooling.save()
        self._session.bye("stopping")
        await self._uplink.finish(FAREWELL_SECONDS)
