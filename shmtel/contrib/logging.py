"""The correlation ID in log records.

    handler.addFilter(CorrelationFilter())

A filter of a handler sees every record that the handler does; one of a logger
would miss those of the loggers below it.

Rules: nothing here logs, and nothing raises: a program's log does not depend on
its telemetry.
"""

import logging

from shmtel import _ring
from shmtel.plain import plain_text
from shmtel.traceparent import trace_id_of


class CorrelationFilter(logging.Filter):
    """Adds `correlation_id`, `trace_id` and `span_id` to each record.

    `trace_id` is there only where the correlation ID is one. What a record has
    already, from `extra` or from another thread, stays as it is.

    Args:
        missing: stands for what there is not; pass None for a JSON log.
    """

    def __init__(self, missing: str | None = "-") -> None:
        super().__init__()
        self._missing = missing

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the three, and let the record pass."""
        present = record.__dict__
        correlation_id = present.get("correlation_id", _correlation_id())
        parent = _ring.current_parent()
        present.setdefault("correlation_id", self._or_missing(correlation_id))
        present.setdefault("trace_id", self._or_missing(_trace_id(correlation_id)))
        present.setdefault("span_id", self._or_missing(parent[0] if parent else None))
        return True

    def _or_missing(self, text: str | None) -> str | None:
        return self._missing if text is None else text


def _correlation_id() -> str | None:
    """Return the ID as text; a program may have passed any object as one."""
    found: object = _ring.get_correlation_id()
    if found is None or isinstance(found, str):
        return found
    try:
        return plain_text(found)
    except Exception:  # __str__ of a foreign class
        return None


def _trace_id(correlation_id: object) -> str | None:
    return trace_id_of(correlation_id) if isinstance(correlation_id, str) else None
