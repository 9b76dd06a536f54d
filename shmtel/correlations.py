"""The correlation ID of the current context, and how it travels.

Tasks of asyncio inherit it; `emit` and `span` take it when none is passed. Inside
a span that was given an ID of its own, that one is in force until another is set.

Over the wire go two headers, or entries of gRPC metadata: `x-correlation-id` is
the ID as it is spelt, `traceparent` the trace ID that it is or is given (see
traceparent.py), with the current span as parent. Read together, the first wins
where both mean the same trace; where they disagree the second does, because it
is the one that everybody on the way understands and keeps.

Rules: what arrives is foreign. An ID that is too long or not printable, and a
header that is malformed, are as if they were not there; nothing here raises.
"""

import os
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, NamedTuple

from shmtel import _ring, traceparent
from shmtel._ring import get_correlation_id
from shmtel.plain import plain_text
from shmtel.traceparent import TraceParent, trace_id_of

__all__ = [
    "CORRELATION_HEADER",
    "Headers",
    "correlation",
    "get_correlation_id",
    "new_correlation_id",
    "outgoing_metadata",
    "reset_correlation_id",
    "set_correlation_id",
    "trace_id_of",
]

CORRELATION_HEADER = "x-correlation-id"
MAX_ID_BYTES = 128  # RING_CORRELATION_MAX in ring_layout.h
_TRACEPARENT = "traceparent"
_TRACESTATE = "tracestate"
_MAX_TRACESTATE = 512
# Names under which others send one, after our own.
_OTHER_HEADERS = ("x-request-id", "x-snakepit-correlation-id")
_IDS = (CORRELATION_HEADER, *_OTHER_HEADERS)
# All that `correlation` looks at.
HEADERS = (*_IDS, _TRACEPARENT, _TRACESTATE)
_READ = frozenset(HEADERS)

Headers = Mapping[Any, Any] | Iterable[tuple[Any, Any]]


def new_correlation_id() -> str:
    """Return a new ID, which is a valid W3C trace ID; it is not set."""
    while not (correlation_id := os.urandom(16).hex()).strip("0"):
        pass
    return correlation_id


def set_correlation_id(correlation_id: str | None) -> Token[str | None]:
    """Set the correlation ID of this context.

    Args:
        correlation_id: at most 128 bytes of UTF-8; events with a longer one are
            counted as dropped, reason `invalid`.

    Returns:
        What `reset_correlation_id` needs to put the former one back.
    """
    if correlation_id is not None and not isinstance(correlation_id, str):
        correlation_id = _text(correlation_id)  # of a UUID object, say
    return _ring.set_variable(_ring.correlation_id_variable, correlation_id)


def reset_correlation_id(token: Token[str | None] | None) -> None:
    """Put back the correlation ID that `set_correlation_id` has replaced.

    A context that is not the one of the set has nothing to put back.
    """
    if token is not None:
        reset(_ring.correlation_id_variable, token)


def correlation(
    correlation_id: str | None = None,
    *,
    traceparent: str | None = None,
    headers: Headers | None = None,
) -> "Correlation":
    """Return a context manager with a correlation ID in force, which it gives.

    The ID is the one passed, else the one that arrived in the headers, else the
    one in force already, else a new one. What is no ID is passed over. A parent
    that arrived becomes the parent of the spans and events inside.

    Args:
        traceparent: the header of that name, if there are no other headers.
        headers: of a request, as a mapping or as pairs, of text or of bytes.
    """
    arrived = _read_headers(headers)
    if traceparent is not None:
        arrived = arrived._replace(parent=_parse(traceparent))
    chosen = _usable(correlation_id) or arrived.correlation_id()
    return Correlation(chosen or get_correlation_id() or new_correlation_id(), arrived)


def outgoing_metadata(
    existing: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
) -> list[tuple[str, Any]]:
    """Return headers for a call to another service: the given ones, and ours.

    What was there under our names is replaced, so that headers which have
    arrived may be passed on. Without a correlation ID there is nothing to add.
    """
    pairs = list(_pairs(existing))
    correlation_id = _usable(get_correlation_id())
    if correlation_id is None:
        return pairs
    ours = _outgoing(correlation_id)
    names = {CORRELATION_HEADER, _TRACEPARENT, _TRACESTATE}
    return [pair for pair in pairs if _text(pair[0]).lower() not in names] + ours


def _outgoing(correlation_id: str) -> list[tuple[str, Any]]:
    trace_id = traceparent.trace_id_on_the_wire(correlation_id)
    parent_id, is_kept = _ring.current_parent() or (_random_parent(), True)
    header = traceparent.render(TraceParent(trace_id, parent_id, is_kept))
    pairs = [(_TRACEPARENT, header)]
    if correlation_id.isascii() and correlation_id == correlation_id.strip():
        pairs.append((CORRELATION_HEADER, correlation_id))
    state_of, state = _tracestate.get()
    if state and state_of == trace_id:
        pairs.append((_TRACESTATE, state))
    return pairs


def _random_parent() -> str:
    """Return an id for a caller without a span; the header has no word for none."""
    return f"{int.from_bytes(os.urandom(8)) | 1:016x}"


# -- what has arrived -------------------------------------------------------

# The tracestate that has arrived, after the trace that it belongs to.
_tracestate: ContextVar[tuple[str, str]] = ContextVar(
    "shmtel_tracestate", default=("", "")
)

# All that says where code stands, for who carries it elsewhere by hand.
VARIABLES: tuple[ContextVar[Any], ...] = (
    _ring.correlation_id_variable,
    _ring.current_span_variable,
    _tracestate,
)


class _Arrived(NamedTuple):
    """What the headers of a request have said, each judged by itself."""

    named: str | None = None
    parent: TraceParent | None = None
    state: str = ""

    def correlation_id(self) -> str | None:
        """Return the ID that both headers together mean."""
        if self.parent is None:
            return self.named
        trace_id = self.parent.trace_id
        if self.named and traceparent.trace_id_on_the_wire(self.named) == trace_id:
            return self.named
        return trace_id


_Tokens = list[tuple[ContextVar[Any], Token[Any]]]


class Correlation:
    """A correlation ID that is in force inside a `with` block.

    The same one may be used again, inside itself, and by several tasks at once.
    """

    def __init__(self, correlation_id: str, arrived: _Arrived) -> None:
        self.correlation_id = correlation_id
        self._arrived = arrived
        self._entered: list[_Tokens] = []

    def __enter__(self) -> str:
        values: list[tuple[ContextVar[Any], object]] = [
            (_ring.correlation_id_variable, self.correlation_id)
        ]
        parent = self._arrived.parent
        if parent is not None:
            anchor = _ring.anchor(int(parent.parent_id, 16), parent.is_sampled)
            values.append((_ring.current_span_variable, anchor))
            values.append((_tracestate, (parent.trace_id, self._arrived.state)))
        self._entered.append(
            [(each, _ring.set_variable(each, value)) for each, value in values]
        )
        return self.correlation_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The innermost of this context; another context is left as it is.
        for tokens in reversed(self._entered):
            if all(reset(variable, token) for variable, token in tokens):
                self._entered.remove(tokens)
                return


def reset(variable: ContextVar[Any], token: Token[Any]) -> bool:
    """Undo a set; false where this is another context, or it has been undone."""
    try:
        _ring.reset_variable(variable, token)
    except (ValueError, RuntimeError):
        return False
    return True


def _read_headers(headers: Headers | None) -> _Arrived:
    found: dict[str, list[str]] = {}
    for given, value in _pairs(headers):
        if (name := _of_header(given).lower()) in _READ:
            found.setdefault(name, []).append(_of_header(value))
    ids = (_usable(text.strip()) for name in _IDS for text in found.get(name, ()))
    parents = found.get(_TRACEPARENT, [])
    parent = traceparent.parse(parents[0]) if len(parents) == 1 else None
    return _Arrived(next(filter(None, ids), None), parent, _state(found))


def _state(found: dict[str, list[str]]) -> str:
    state = ",".join(found.get(_TRACESTATE, ())).strip()
    is_sound = len(state) <= _MAX_TRACESTATE and state.isascii() and state.isprintable()
    return state if is_sound else ""


def _parse(text: object) -> TraceParent | None:
    return traceparent.parse(_of_header(text))


def _usable(correlation_id: object) -> str | None:
    """Return the text of an ID; None if no event could carry it, or no header."""
    text = _text(correlation_id)
    is_usable = text.isprintable() and 0 < len(text.encode()) <= MAX_ID_BYTES
    return text if is_usable else None


def _pairs(headers: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of what may be headers; what is none has none."""
    if headers is None:
        return []
    # Those of email.message are no mapping, and iterate over their names.
    ways = (_items_of,) if isinstance(headers, Mapping) else (_itself, _items_of)
    for way in ways:
        try:
            return [_pair_of(item) for item in way(headers)]
        except Exception:  # it is foreign, and so may be its iterator
            continue
    return []


def _itself(headers: Any) -> Any:
    return headers


def _items_of(headers: Any) -> Any:
    return headers.items()


def _pair_of(item: Any) -> tuple[Any, Any]:
    name, value = item
    if isinstance(item, str | bytes):  # a name of two characters
        raise TypeError("no pair")
    return name, value


def _of_header(value: object) -> str:
    """Return the text of a header's name or value; no header is anything else."""
    return _text(value) if isinstance(value, str | bytes) else ""


def _text(value: object) -> str:
    if type(value) is str and value.isascii():
        return value  # as nearly all are
    try:
        if isinstance(value, bytes):
            return value.decode("latin-1")
        return "" if value is None else plain_text(value)
    except Exception:  # __str__ of a foreign class
        return ""
