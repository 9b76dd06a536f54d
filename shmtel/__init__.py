"""Telemetry out of Python workers through shared memory.

Set SHMTEL_ENABLED=1, and every process that emits gets a ring of its own;
without it, nothing is opened and an emit costs next to nothing.
"""

from shmtel._ring import (
    Span,
    current_span,
    disable,
    emit,
    enable,
    is_enabled,
    span,
    stats,
)
from shmtel.correlation import (
    get_correlation_id,
    reset_correlation_id,
    set_correlation_id,
)
from shmtel.ring import start as _start

__all__ = [
    "Span",
    "current_span",
    "disable",
    "emit",
    "enable",
    "get_correlation_id",
    "is_enabled",
    "reset_correlation_id",
    "set_correlation_id",
    "span",
    "stats",
]

_start()
