"""The hub as its HTTP endpoints see it.

    http = serve(WatchedHub(hub), "127.0.0.1:9747", log)

Rules:
- all of it runs in the thread of the HTTP server: streams are not held up.
"""

from shmtel.endpoints.exposition import exposition
from shmtel.endpoints.readiness import Check, Readiness
from shmtel.hub.hub import Hub
from shmtel.hub.metrics import FAMILIES, samples_of


class WatchedHub:
    """The target of the hub's endpoints."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape."""
        hub = self._hub
        samples = samples_of(hub.stats(), hub.ledger(), hub.oldest_unanswered_ns())
        return exposition(FAMILIES, samples, accept)

    async def readiness(self) -> Readiness:
        """Return whether the hub takes events."""
        failure = self._hub.failure
        streams = self._hub.stats().streams
        return Readiness(
            [
                Check("sinks", failure is None, str(failure or "")),
                Check(
                    "streams",
                    streams > 0,
                    f"{streams} collectors are connected",
                    is_required=False,
                ),
            ]
        )

    def is_alive(self) -> bool:
        """Say whether it answers: it does."""
        return True
