"""Telemetry out of Python workers through shared memory.

Set SHMTEL_ENABLED=1, and every process that emits gets a ring of its own;
without it, nothing is opened and an emit costs next to nothing.
"""

import sys as _sys

try:
    if "t" in _sys.abiflags:  # to load the core would switch on the GIL for all
        raise ImportError("a free-threaded build")
    from shmtel import _ring  # noqa: F401
except ImportError as _error:
    from shmtel.null_core import take_place_of_core

    take_place_of_core(_error)

from shmtel._ring import (
    Span,
    current_span,
    disable,
    emit,
    enable,
    get_correlation_id,
    is_enabled,
    span,
    stats,
)
from shmtel.ring import start as _start

TYPE_CHECKING = False  # importing typing would take longer than all the rest
if TYPE_CHECKING:
    from shmtel.backends import (
        Backend,
        MemoryBackend,
        RingBackend,
        StderrBackend,
        get_backend,
        set_backend,
    )
    from shmtel.context import ContextExecutor, wrap
    from shmtel.correlations import (
        CORRELATION_HEADER,
        correlation,
        new_correlation_id,
        outgoing_metadata,
        reset_correlation_id,
        set_correlation_id,
        trace_id_of,
    )
    from shmtel.executions import call, tool
    from shmtel.identities import Identity, identity

__all__ = [
    "CORRELATION_HEADER",
    "Backend",
    "ContextExecutor",
    "Identity",
    "MemoryBackend",
    "RingBackend",
    "Span",
    "StderrBackend",
    "call",
    "correlation",
    "current_span",
    "disable",
    "emit",
    "enable",
    "get_backend",
    "get_correlation_id",
    "identity",
    "is_enabled",
    "new_correlation_id",
    "outgoing_metadata",
    "reset_correlation_id",
    "set_backend",
    "set_correlation_id",
    "span",
    "stats",
    "tool",
    "trace_id_of",
    "wrap",
]

# What not every worker uses is imported when it is first asked for.
_LATER = {
    "Backend": "backends",
    "CORRELATION_HEADER": "correlations",
    "ContextExecutor": "context",
    "Identity": "identities",
    "MemoryBackend": "backends",
    "RingBackend": "backends",
    "StderrBackend": "backends",
    "call": "executions",
    "correlation": "correlations",
    "get_backend": "backends",
    "identity": "identities",
    "new_correlation_id": "correlations",
    "outgoing_metadata": "correlations",
    "reset_correlation_id": "correlations",
    "set_backend": "backends",
    "set_correlation_id": "correlations",
    "tool": "executions",
    "trace_id_of": "correlations",
    "wrap": "context",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_start()
