"""Stands in for the core where a process must not use it: telemetry is off here.

The core has one ring per process, keeps Python objects in it, and is guarded by
the one GIL. So it is for the main interpreter of a build that has a GIL; see
docs/design/0014-one-interpreter.md. In a subinterpreter, and in a free-threaded
build, `import shmtel` gives this module the core's place: all calls of a worker
work and record nothing, and who switches telemetry on is warned once.

Rules: nothing here may touch the core, which belongs to another interpreter;
each name means what it means in `_ring.pyi`.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar, Token
from importlib import import_module
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

WORD_UNSET = 0xFFFF_FFFD
WORD_KEEP_NONE = 0xFFFF_FFFE
WORD_DENIED = 0xFFFF_FFFF
THRESHOLD_MAX = 0xFFFF_FFEF
RING_OFF, RING_ON, RING_RETIRED = 0, 1, 2
RING_DROP, RING_OVERWRITE = 0, 1
_DROP_REASONS = (
    *("ring_full", "too_large", "invalid"),
    *("name_table_full", "reentrant", "no_ring"),
)

_IN_SUBINTERPRETER = (
    "telemetry is off in this interpreter: shmtel serves the main interpreter of a "
    "process only. Cure: run the program there (mod_wsgi: WSGIApplicationGroup "
    "%{GLOBAL}), or emit where a subinterpreter's results come in"
)
_WITHOUT_GIL = (
    "telemetry is off in this process: shmtel does not run on a free-threaded build "
    "of Python. Cure: use the build with the GIL, without the `t` in its name"
)

_counts = {"disabled": 0}
correlation_id_variable: ContextVar[str | None] = ContextVar(
    "shmtel_correlation_id", default=None
)
current_span_variable: ContextVar["Span | None"] = ContextVar(
    "shmtel_current_span", default=None
)


def take_place_of_core(error: ImportError) -> None:
    """Become `shmtel._ring` where the core was refused for a known reason.

    Raises:
        ImportError: the one that was given; the core is not refused, but broken.
    """
    if _reason() is None:
        raise error
    package, this = sys.modules["shmtel"], sys.modules[__name__]
    sys.modules["shmtel._ring"] = this
    package._ring = this  # type: ignore[attr-defined]


def _reason() -> str | None:
    if is_free_threaded():
        return _WITHOUT_GIL
    return None if _is_main_interpreter() else _IN_SUBINTERPRETER


def is_free_threaded() -> bool:
    """Say whether this build of Python can run without the GIL."""
    return "t" in sys.abiflags


def _is_main_interpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):  # from 3.13 on; before
        try:
            interpreters: Any = import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True


def __getattr__(name: str) -> Any:
    """Explain what is missing: the side of the collector is not here."""
    raise AttributeError(f"shmtel's core is not here, nor its {name}: {_reason()}")


# -- the worker's side ------------------------------------------------------


class Span:
    """A span that has no events."""

    span_id = parent_id = "0" * 16

    def __init__(
        self,
        operation: object = None,
        metadata: object = None,
        correlation_id: object = None,
    ) -> None:
        self.operation = operation
        self.metadata = metadata
        self.correlation_id = correlation_id

    def __call__(self, function: _F, /) -> _F:
        return function

    def __enter__(self) -> "Span":
        _count_disabled()
        return self

    def __exit__(self, *_error: object) -> None:
        _count_disabled()

    def set(self, *_arguments: object, **_named: object) -> None:
        """Add nothing."""


def span(*arguments: Any, **named: Any) -> Span:
    """Return a span that has no events; of nothing, for a call that is wrong."""
    try:
        return Span(*arguments, **named)
    except TypeError:
        return Span()


def emit(*_event: object, **_named: object) -> None:
    """Count the event as disabled."""
    _count_disabled()


emit_to_ring = emit


def _count_disabled() -> None:
    _counts["disabled"] += 1


def enable() -> None:
    """Say once why telemetry stays off."""
    from shmtel import config

    config.warn_once(_reason() or "telemetry is off", condition="no core")


def disable() -> None:
    """Do nothing: telemetry is off."""


def is_enabled() -> bool:
    """Say no."""
    return False


is_switched_on = is_enabled


def stats() -> dict[str, Any]:
    """Return the counts: whatever was emitted is disabled."""
    zeros = ("committed", "sampled_out", "filtered", "dropped_by_process")
    sizes = ("committed_bytes", "capacity_bytes", "used_bytes", "high_water_bytes")
    disabled = _counts["disabled"]
    return {
        **dict.fromkeys((*zeros, *sizes, "names"), 0),
        **dict.fromkeys(("identity", "ring_id", "first_drop_ns", "last_drop_ns")),
        "enabled": False,
        "emitted": disabled,
        "disabled": disabled,
        "dropped": dict.fromkeys(_DROP_REASONS, 0),
        "other_backend": {
            "delivered": 0,
            "failed": 0,
            "dropped": dict.fromkeys(_DROP_REASONS, 0),
        },
    }


def get_correlation_id(default: str | None = None) -> str | None:
    """Return the correlation ID of the context, or the default."""
    found = correlation_id_variable.get()
    return default if found is None else found


def set_variable(variable: ContextVar[_T], value: _T, /) -> Token[_T]:
    """Set a context variable."""
    return variable.set(value)


def reset_variable(variable: ContextVar[_T], token: Token[_T], /) -> None:
    """Reset a context variable."""
    variable.reset(token)


def current_span() -> Span | None:
    """Return None: no span is open."""
    return None


current_parent = identity = own_descriptor = current_span


def anchor(_span_id: int, _is_sampled: bool) -> Span:
    """Return a span that has no events."""
    return Span()


def _do_nothing(*_arguments: object, **_named: object) -> None:
    pass


divert = install = remember = suspend = resume = close = _do_nothing
note_collection = _do_nothing


def own_rings() -> list[bytes]:
    """Return nothing: there is no ring."""
    return []
