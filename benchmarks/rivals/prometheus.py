"""prometheus_client: a counter and a histogram, in memory or in mapped files.

Nothing is sent: the event becomes a count, and its duration a bucket, of one
child per set of labels, looked up on each event as applications do. Of the
event's two measurements one is lost, and so is the correlation ID.
"""

import os
import tempfile

from measure import EVENT, MEASUREMENTS, METADATA

from rivals import Sender

_LABELS = ("event", *METADATA)
_VALUES = (EVENT, *METADATA.values())


def open_registry(address: str) -> Sender:
    """Metrics of one process."""
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    events = Counter("events", "Events.", _LABELS, registry=registry)
    durations = Histogram("durations", "Durations.", _LABELS, registry=registry)
    duration = MEASUREMENTS["duration"] / 1e9

    def emit() -> None:
        events.labels(*_VALUES).inc()
        durations.labels(*_VALUES).observe(duration)

    def kept() -> int:
        labels = dict(zip(_LABELS, _VALUES, strict=True))
        return int(registry.get_sample_value("events_total", labels) or 0)

    return Sender(emit, kept=kept)


def open_multiprocess(address: str) -> Sender:
    """Metrics of many processes, in files that are mapped."""
    directory = tempfile.mkdtemp(dir=address)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory  # read when it is imported
    from prometheus_client import CollectorRegistry, multiprocess

    sender = open_registry(address)

    def kept() -> int:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        labels = dict(zip(_LABELS, _VALUES, strict=True))
        return int(registry.get_sample_value("events_total", labels) or 0)

    return Sender(sender.emit, kept=kept)
