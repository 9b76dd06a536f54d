"""Correlation IDs and W3C trace context: what the one says in terms of the other.

A correlation ID of 32 hex digits, or a UUID, is a trace ID in another spelling:
nothing is lost in either direction. Any other ID is opaque. For the sake of the
`traceparent` header it is given a trace ID that every service computes alike:

    the first 16 bytes of SHA-256 over the ID's UTF-8, in lower-case hex

That one goes over the wire and nowhere else; it is never shown as the trace ID.

Rules: pure functions; what is malformed is None, nothing raises.
"""

from typing import NamedTuple

VERSION = "00"
_LENGTH_OF_VERSION_00 = 55
_LOWER_HEX = frozenset("0123456789abcdef")
_HEX = frozenset("0123456789abcdefABCDEF")
_SAMPLED = 0x01
_UUID_DASHES = (8, 13, 18, 23)


class TraceParent(NamedTuple):
    """What a `traceparent` header says."""

    trace_id: str
    parent_id: str
    is_sampled: bool


def parse(text: str) -> TraceParent | None:
    """Read a header, as the W3C recommendation asks; None if it is malformed.

    A version after 00 may add fields behind the four that are known.
    """
    text = text.strip(" \t")
    version, trace_id, parent_id, flags = text[:2], text[3:35], text[36:52], text[53:55]
    if not _has_form(text) or version == "ff" or not _is_lower_hex(version + flags):
        return None
    if not _is_id(trace_id) or not _is_id(parent_id):
        return None
    return TraceParent(trace_id, parent_id, bool(int(flags, 16) & _SAMPLED))


def render(parent: TraceParent) -> str:
    """Return the header of version 00."""
    flags = _SAMPLED if parent.is_sampled else 0
    return f"{VERSION}-{parent.trace_id}-{parent.parent_id}-{flags:02x}"


def trace_id_of(correlation_id: str | None) -> str | None:
    """Return the trace ID that a correlation ID is, or None if it is none."""
    if not isinstance(correlation_id, str):
        return None
    digits = correlation_id
    if len(digits) == 36 and all(digits[at] == "-" for at in _UUID_DASHES):
        digits = digits.replace("-", "")
    if len(digits) != 32 or not _HEX.issuperset(digits) or not digits.strip("0"):
        return None
    return digits.lower()


def trace_id_on_the_wire(correlation_id: str) -> str:
    """Return the trace ID that a correlation ID is, or the one it is given."""
    return trace_id_of(correlation_id) or _derived(correlation_id)


def _derived(correlation_id: str) -> str:
    import hashlib  # loads a library of its own; few IDs are opaque

    text = correlation_id.encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).hexdigest()[:32]


def _has_form(text: str) -> bool:
    end = _LENGTH_OF_VERSION_00
    may_go_on = text[:2] != VERSION and text[end : end + 1] == "-"
    if len(text) < end or not (len(text) == end or may_go_on):
        return False
    return text[2] == text[35] == text[52] == "-"


def _is_lower_hex(text: str) -> bool:
    return _LOWER_HEX.issuperset(text)


def _is_id(text: str) -> bool:
    return _is_lower_hex(text) and bool(text.strip("0"))
