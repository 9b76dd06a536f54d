"""What a call carries of where it comes from, as metadata of its request.

Rules: metadata that has one of our headers already is the application's choice,
and stays as it is; what the application has in there is never looked at otherwise,
so that gRPC judges it as it would without us.
"""

from typing import Any

import grpc

from shmtel.correlations import CORRELATION_HEADER, outgoing_metadata

_OURS = frozenset({CORRELATION_HEADER, "traceparent", "tracestate"})


class _WithMetadata(grpc.ClientCallDetails):
    """Details of another interceptor's own class, with other metadata."""

    def __init__(self, details: Any, metadata: Any) -> None:
        self._details = details
        self.metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._details, name)


def with_headers(details: Any, *, is_aio: bool = False) -> Any:
    """Return the details of a call with the correlation ID that is in force here."""
    added = outgoing_metadata()
    given = getattr(details, "metadata", None)
    if not added or not isinstance(given, _METADATA) or _has_ours(given):
        return details
    pairs = [*(given or ()), *added]
    metadata = grpc.aio.Metadata(*pairs) if is_aio else tuple(pairs)
    if hasattr(details, "_replace"):
        return details._replace(metadata=metadata)
    return _WithMetadata(details, metadata)


_METADATA = (type(None), tuple, list, grpc.aio.Metadata)


def _has_ours(given: Any) -> bool:
    return any(
        isinstance(item, tuple) and item and item[0] in _OURS for item in given or ()
    )
