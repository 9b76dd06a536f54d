"""The hub as its HTTP endpoints see it.

    http = serve(WatchedHub(hub), "127.0.0.1:9747", log)

Rules:
- all of it runs in the thread of the HTTP server: streams are not held up.
"""

from shmtel.endpoints.exposition import exposition
from shmtel.endpoints.readiness import Check, Readiness
from shmtel.hub.hub import Hub
from shmtel.hub.metrics import FAMILIES, samples_of
from shmtel.hub.readiness import LIMIT_S


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
        """Return whether the hub takes events, and keeps up."""
        seen, streams = self._hub.readiness(), self._hub.stats().streams
        is_working, is_waiting = seen.handler_s > LIMIT_S, seen.unanswered_s > LIMIT_S
        working = f"{seen.handler_id!r} is at work for {seen.handler_s:.1f} s"
        waiting = f"{seen.unanswered_node}: {seen.unanswered_s:.1f} s without an ack"
        return Readiness(
            [
                Check("serving", seen.is_serving),
                Check("sinks", seen.failure is None, seen.failure or ""),
                Check("table", seen.commit_failure is None, seen.commit_failure or ""),
                Check("handlers", not is_working, working if seen.handler_id else ""),
                Check("acks", not is_waiting, waiting if seen.unanswered_node else ""),
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
