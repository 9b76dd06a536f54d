"""The hub as its HTTP endpoints see it.

    http = serve(WatchedHub(hub), "127.0.0.1:9747", log)

Rules:
- all of it runs in threads of the HTTP server: streams are not held up;
- what may take seconds, a scrape where there are many series and documents where
  there are many rings, is made in threads of its own: probes would be without their
  answer for as long. There is one scrape at a time, and few documents.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shmtel.endpoints.apart import apart
from shmtel.endpoints.exposition import READY, exposition
from shmtel.endpoints.readiness import ALIVE, Check, Readiness
from shmtel.endpoints.resources import Resource
from shmtel.hub.api import resources
from shmtel.hub.bridges.account import Accountable
from shmtel.hub.bridges.prometheus import PrometheusBridge
from shmtel.hub.hub import Hub
from shmtel.hub.measures.standing import Reading
from shmtel.hub.metrics import FAMILIES, samples_of
from shmtel.hub.readiness import LIMIT_S
from shmtel.hub.readiness import Readiness as HubReadiness
from shmtel.hub.sink_metrics import add_bridges, add_file_changes, add_measures


class WatchedHub:
    """The target of the hub's endpoints.

    Args:
        bridges: those that send, of which the metrics tell, too.
    """

    def __init__(self, hub: Hub, bridges: Sequence[Accountable] = ()) -> None:
        self._hub, self._senders = hub, bridges
        self._scraping = asyncio.Lock()

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape."""
        async with self._scraping:
            return await apart(lambda: self._scrape(accept))

    def _scrape(self, accept: str) -> tuple[bytes, str]:
        hub = self._hub
        fleet = hub.summary()
        handlers = hub.list_handlers()
        functions: list[object] = [each.function for each in handlers]
        senders = [each for each in functions if isinstance(each, Accountable)]
        samples = samples_of(hub.stats(), fleet, hub.oldest_unanswered_ns())
        samples.add(READY.name, self._readiness().is_ready)
        add_bridges(samples, [*senders, *self._senders])
        readings = hub.measures.read()
        add_measures(samples, readings, hub.measures.skipped())
        add_file_changes(samples, handlers)
        bridges = [PrometheusBridge(_Read(readings))]
        return exposition(FAMILIES, samples, accept, bridges)

    async def readiness(self) -> Readiness:
        """Return whether the hub keeps up."""
        return self._readiness()

    def _readiness(self) -> Readiness:
        return Readiness(_checks(self._hub.readiness(), self._hub.stats().streams))

    def liveness(self) -> Readiness:
        """Return whether it answers: it does."""
        return Readiness([Check("http", True, "answers")], ALIVE)

    def resources(self) -> Sequence[Resource]:
        """Return what is told as JSON."""
        return resources(self._hub)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read once, for all that a scrape tells of it."""

    readings: Sequence[Reading]

    def read(self) -> Sequence[Reading]:
        """Return it."""
        return self.readings


def _checks(now: HubReadiness, streams: int) -> list[Check]:
    handler, acks = "", ""
    if now.handler_id:
        handler = f"{now.handler_id!r} at work for {now.handler_s:.1f} s"
    if now.unanswered_node:
        acks = f"a batch of {now.unanswered_node} waits for {now.unanswered_s:.1f} s"
    return [
        Check("serving", now.is_serving),
        Check("sinks", now.failure is None, now.failure or ""),
        Check("commits", now.commit_failure is None, now.commit_failure or ""),
        Check("handlers", now.handler_s <= LIMIT_S, handler),
        Check("acks", now.unanswered_s <= LIMIT_S, acks),
        Check("streams", streams > 0, f"{streams} connected", is_required=False),
    ]
