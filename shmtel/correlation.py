"""The correlation ID of the current context.

Tasks of asyncio inherit it; `emit` and `span` take it when none is passed. Inside
a span that was given an ID of its own, that one is in force until another is set.
"""

from contextvars import Token

from shmtel import _ring
from shmtel._ring import get_correlation_id

__all__ = ["get_correlation_id", "reset_correlation_id", "set_correlation_id"]


def set_correlation_id(correlation_id: str | None) -> Token[str | None]:
    """Set the correlation ID of this context.

    Args:
        correlation_id: at most 128 bytes of UTF-8; events with a longer one are
            counted as dropped, reason `invalid`.

    Returns:
        What `reset_correlation_id` needs to put the former one back.
    """
    return _ring.correlation_id_variable.set(correlation_id)


def reset_correlation_id(token: Token[str | None]) -> None:
    """Put back the correlation ID that `set_correlation_id` has replaced."""
    _ring.correlation_id_variable.reset(token)
