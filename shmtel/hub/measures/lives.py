"""Whether the worker of a series is still there, as the table of rings knows it."""

from shmtel.hub.positions import ring_key
from shmtel.hub.table import RingTable
from shmtel.wire.frames import RING_ID_BYTES

AWAY_S = 600  # of a host: then its workers are nobody's
_HEX_DIGITS = 2 * RING_ID_BYTES


class Presence:
    """Answers of rings, by their keys."""

    def __init__(self, table: RingTable) -> None:
        self._table = table

    def is_gone(self, key: str) -> bool:
        """Tell whether a ring has ended. One that nobody knows may be yet to come."""
        entry = self._table.get(key)
        return entry is not None and entry.closed_reason is not None

    def is_lost(self, key: str, now_s: float) -> bool:
        """Tell whether nobody speaks for a ring any more."""
        entry = self._table.get(key)
        if entry is None or entry.closed_reason is not None:
            return True
        return not entry.streams and now_s - entry.seen_s > AWAY_S


def key_of_ring(host_id: str, ring_id: str) -> str | None:
    """Return the key of a ring from its id in hex, which a worker may have written."""
    if len(ring_id) != _HEX_DIGITS:
        return None
    try:
        return ring_key(host_id, bytes.fromhex(ring_id))
    except ValueError:
        return None
