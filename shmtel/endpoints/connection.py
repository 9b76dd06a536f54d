"""A connection of the HTTP server that makes room while nobody is answered on it.

uvicorn refuses requests while too many connections are open, and one on which nothing
was ever asked stays open for as long as its peer likes. A handful of them would take
probes from a daemon that is well, so the oldest idle ones give way.

Rules:
- whoever is being answered is left alone: requests beyond the limit are refused;
- so is who has just come, whose request may be on its way.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_GRACE_S = 1.0


class Connection(H11Protocol):
    """One connection."""

    _since_s = 0.0  # when something has come last, by the loop's clock

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Take up a connection, in the place of idle ones if there are too many."""
        super().connection_made(transport)
        self._since_s = self.loop.time()
        others = cast("set[Connection]", self.connections - {self})
        idle = [one for one in others if one.is_idle(self._since_s - _GRACE_S)]
        idle.sort(key=lambda one: one._since_s)
        most = (self.limit_concurrency or 0) - 1  # uvicorn refuses at the limit
        for one in idle[: max(0, len(self.connections) - most)]:
            one.give_way()

    def data_received(self, data: bytes) -> None:
        """Take what was sent."""
        self._since_s = self.loop.time()
        super().data_received(data)

    def is_idle(self, since_s: float) -> bool:
        """Tell whether nobody is being answered, and nothing has come since then."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not is_answering and self._since_s <= since_s

    def give_way(self) -> None:
        """Close it."""
        self.connections.discard(self)
        self.transport.close()
