"""The hub as its HTTP endpoints see it.

    http = serve(WatchedHub(hub), "127.0.0.1:9747", log)

Rules:
- all of it runs in the thread of the HTTP server: streams are not held up.
"""

from shmtel.endpoints.exposition import exposition
from shmtel.endpoints.readiness import Check, Readiness
from shmtel.hub.hub import Hub
from shmtel.hub.metrics import FAMILIES, add_file_changes, samples_of
from shmtel.hub.readiness import LIMIT_S
from shmtel.hub.readiness import Readiness as HubReadiness


class WatchedHub:
    """The target of the hub's endpoints."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape."""
        hub = self._hub
        samples = samples_of(hub.stats(), hub.ledger(), hub.oldest_unanswered_ns())
        add_file_changes(samples, hub.list_handlers())
        return exposition(FAMILIES, samples, accept)

    async def readiness(self) -> Readiness:
        """Return whether the hub keeps up."""
        return Readiness(_checks(self._hub.readiness(), self._hub.stats().streams))

    def is_alive(self) -> bool:
        """Say whether it answers: it does."""
        return True


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
