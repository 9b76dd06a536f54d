"""The parts of a hub: made, wired together, looked at, and ended in order."""

import logging
import time
from pathlib import Path

from shmtel.hub.committer import Committer
from shmtel.hub.control import Control
from shmtel.hub.counters import Counters, HubStats
from shmtel.hub.desired import DesiredState
from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.event_counts import EventCounts
from shmtel.hub.events import HANDLER_FAILURE, HubEvents
from shmtel.hub.fleet import Fleet, wait_stopped
from shmtel.hub.handlers import RequiredHandlerError
from shmtel.hub.measures.lives import Presence
from shmtel.hub.measures.measures import Measures
from shmtel.hub.positions import NoPositions, Positions, PositionStore
from shmtel.hub.readiness import Readiness, take_readiness
from shmtel.hub.services import Services
from shmtel.hub.sinks import Marks
from shmtel.hub.store import Store
from shmtel.hub.table import RingTable
from shmtel.outcomes import describe_error

_log = logging.getLogger(__name__)


class Parts:
    """Everything of a hub but its server.

    Raises:
        ConfigurationError: the state cannot be kept there, or another hub does.
    """

    def __init__(self, state_dir: Path | None) -> None:
        self.store = Store(state_dir)
        try:
            self.positions = _open_positions(state_dir)
        except BaseException:
            self.store.close()
            raise
        kept = self.positions.read()
        self.table = RingTable(kept.rings, kept.folded, kept.folded_hosts)
        last_seqs = {ring.ring_id.hex(): ring.last_seq for ring in kept.rings}
        self.marks = Marks(kept.marks, last_seqs)
        self.measures = Measures(Presence(self.table), kept.series)
        self.counters = Counters()
        self.event_counts = EventCounts()
        self.committer = Committer(
            *(self.table, self.positions, self.marks, self.measures), self.counters
        )
        self.dispatcher = Dispatcher(self.marks, self._on_failure, self._tell_detached)
        self.events = HubEvents(self.dispatcher)
        self.fleet = Fleet(self.store.policy, self.store.rejected())
        self.desired = DesiredState(self.store, self.fleet, self.events)
        self.control = Control(self.desired, self.fleet, self.table)
        self.services = Services(
            table=self.table,
            dispatcher=self.dispatcher,
            fleet=self.fleet,
            desired=self.desired,
            counters=self.counters,
            event_counts=self.event_counts,
            marks=self.marks,
            measures=self.measures,
            committer=self.committer,
        )

    def _on_failure(self, error: RequiredHandlerError) -> None:
        """End every stream: nothing may be acknowledged that is kept nowhere."""
        _log.error("nothing is acknowledged any more: %s", error)
        self.fleet.close(f"the hub has failed: {error}")

    def _tell_detached(self, handler_id: str, error: BaseException) -> None:
        metadata = describe_error({"handler": handler_id}, error)
        self.events.put({"count": 1}, metadata, HANDLER_FAILURE)

    def stats(self) -> HubStats:
        """Return the hub's counters of itself."""
        return self.counters.snapshot(
            streams=self.fleet.live_count(),
            dropped_events=self.events.dropped,
            repeated=self.marks.repeated(),
            handler_failures=self.dispatcher.handler_failures,
            handlers=len(self.dispatcher.handlers()),
            missed=sum(self.dispatcher.missed().values()),
        )

    def readiness(self, *, is_serving: bool) -> Readiness:
        """Return whether the hub keeps up, and what speaks against it."""
        return take_readiness(
            is_serving=is_serving,
            dispatcher=self.dispatcher,
            fleet=self.fleet,
            committer=self.committer,
        )

    def finish(self, deadline: float) -> None:
        """End the streams and finish what is in work, until a monotonic time.

        Collectors are asked to leave first, and what is left then is cut off.
        """

        def left_s() -> float:
            return max(0.0, deadline - time.monotonic())

        grace_s = left_s()
        wait_stopped(self.fleet.drain(grace_s), deadline - grace_s / 4)
        wait_stopped(self.fleet.close(), deadline - grace_s / 8)
        self.events.close(left_s())
        self.dispatcher.close(left_s())
        self.committer.close(left_s())

    def close(self) -> None:
        """Let go of what is kept on disk."""
        self.positions.close()
        self.store.close()


def _open_positions(state_dir: Path | None) -> Positions:
    return NoPositions() if state_dir is None else PositionStore(state_dir)
