"""The standard library's logging: QueueHandler, and a QueueListener that writes JSON.

The queue has no bound, as by default. The listener's thread formats the record
and writes a line to the null device.
"""

import json
import logging
import os
import queue
from logging.handlers import QueueHandler, QueueListener

from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA

from rivals import Sender

_EXTRA = {
    "measurements": MEASUREMENTS,
    "metadata": METADATA,
    "correlation_id": CORRELATION_ID,
}
_FIELDS = tuple(_EXTRA)


class _JsonHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes a line per record, and counts."""

    count = 0

    def format(self, record: logging.LogRecord) -> str:
        line = {"event": record.getMessage(), "created": record.created}
        return json.dumps(line | {name: getattr(record, name) for name in _FIELDS})

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.count += 1


def open_logger(address: str) -> Sender:
    """Log through a queue to a thread."""
    handler = _JsonHandler(open(os.devnull, "w"))  # noqa: SIM115 - as long as we
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    listener = QueueListener(records, handler)
    listener.start()
    logger = logging.getLogger("benchmark")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(QueueHandler(records))
    info = logger.info
    return Sender(
        lambda: info(EVENT, extra=_EXTRA),
        flush=records.join,
        kept=lambda: handler.count,
        is_behind=lambda: records.qsize() > 1_000,
    )
