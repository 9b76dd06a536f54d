"""What both kinds of DogStatsD share: the event as two metrics, and who counts them.

An event is a histogram sample for each measurement, tagged with the metadata and
the correlation ID. The receiver is one thread that reads and counts lines, with
as large a buffer as the kernel allows.
"""

import socket
import threading
from typing import Any

from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA

from rivals import Sender, Sink

_LARGEST = 1 << 16
_PREFIX = EVENT.encode()
_TAGS = [f"{key}:{value}" for key, value in METADATA.items()]
_TAGS.append(f"correlation_id:{CORRELATION_ID}")
_METRICS = [(f"{EVENT}.{name}", value) for name, value in MEASUREMENTS.items()]


def receive(receiver: socket.socket, address: str) -> Sink:
    """Count what arrives at a socket."""
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    metrics = 0

    def run() -> None:
        nonlocal metrics
        while True:
            metrics += receiver.recv(_LARGEST).count(_PREFIX)

    threading.Thread(target=run, daemon=True).start()
    return Sink(address, lambda: metrics // len(_METRICS))


def sender(client: Any) -> Sender:
    """Send with a client of the datadog package."""
    histogram = client.histogram
    (first, first_value), (second, second_value) = _METRICS

    def emit() -> None:
        histogram(first, first_value, tags=_TAGS)
        histogram(second, second_value, tags=_TAGS)

    return Sender(emit, flush=client.flush)
