"""What a hub grants to every stream.

Credit bounds what a stream holds in memory on both sides, and grows with what the
stream carries (see shmtel.wire.credit); a batch is small enough that a control frame
never waits long behind one.
"""

import secrets

from shmtel.wire.frames import AckLevel, Welcome
from shmtel.wire.protocol import PROTOCOL_MAX

_CREDIT_BYTES = 256 << 10  # the least
_MAX_BATCH_BYTES = 256 << 10
_HEARTBEAT_INTERVAL_MS = 1_000


def make_terms() -> Welcome:
    """Return the terms of one hub process."""
    return Welcome(
        protocol=PROTOCOL_MAX,
        hub_id=secrets.token_hex(8),
        credit_bytes=_CREDIT_BYTES,
        max_batch_bytes=_MAX_BATCH_BYTES,
        heartbeat_interval_ms=_HEARTBEAT_INTERVAL_MS,
        ack_level=AckLevel.HANDLED,
    )
