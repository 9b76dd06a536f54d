"""shmtel itself: the ring, a collector and a hub, as an operator would run them."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from measure import CORRELATION_ID, EVENT, MEASUREMENTS, METADATA

from rivals import Sender, Sink


def serve(directory: str) -> Sink:
    """Run a hub whose batch handler counts, and a collector beside it."""
    delivered = 0

    def handle(batch: Any, config: object) -> None:
        nonlocal delivered
        delivered += len(batch.records)

    return run_line(directory, handle, lambda: delivered)


def serve_events(directory: str) -> Sink:
    """The same with a handler that is called for each event."""
    delivered = 0

    def handle(*_: object) -> None:
        nonlocal delivered
        delivered += 1

    return _run(
        directory,
        lambda hub: hub.attach("handler", "tool.*", handle),
        lambda _: delivered,
    )


def serve_metrics(directory: str) -> Sink:
    """The same with the default metrics for Prometheus, and no handler."""
    from shmtel.hub.measures.defaults import default_metrics

    def count(hub: Any) -> int:
        (seen,) = (r for r in hub.measures.read() if r.metric.name == "shmtel.events")
        at = list(seen.metric.tags).index("event")  # the collector has events too
        ours = (tally for labels, tally in seen.series.items() if labels[at] == EVENT)
        return int(sum(tally.count for tally in ours))

    return _run(directory, lambda hub: hub.attach_metrics(default_metrics()), count)


def run_line(
    directory: str, handler: Callable[[Any, object], None], count: Callable[[], Any]
) -> Sink:
    """Run a hub with a batch handler, and a collector beside it."""
    return _run(
        directory,
        lambda hub: hub.attach_batch("handler", "tool.*", handler),
        lambda _: count(),
    )


def _run(
    directory: str, attach: Callable[[Any], None], count: Callable[[Any], Any]
) -> Sink:
    from shmtel.hub import Hub

    gc.freeze()  # as `shmtel hub` does
    hub = Hub(listen=f"unix:{Path(directory, 'hub')}")
    hub.start()
    attach(hub)
    collector = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "shmtel.cli", "collector"),
            *("--hub", hub.address, "--namespace", os.environ["SHMTEL_NAMESPACE"]),
            *("--state-dir", str(Path(directory, "state"))),
            *("--parent", str(os.getpid()), "--log-level", "error"),
        ],
        stdin=subprocess.DEVNULL,
    )

    def close() -> None:
        collector.terminate()
        collector.wait(20)
        hub.stop()

    return Sink(hub.address, lambda: count(hub), close, (collector.pid,))


def open_emit(address: str) -> Sender:
    """Emit into a ring that the collector drains."""
    import shmtel

    emit = partial(shmtel.emit, EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)

    def dropped() -> int:
        return sum(shmtel.stats()["dropped"].values())

    def is_behind() -> bool:
        now = shmtel.stats()
        return now["used_bytes"] > now["capacity_bytes"] // 2

    return Sender(emit, dropped=dropped, is_behind=is_behind)


def open_span(address: str) -> Sender:
    """Spans, each an event at its start and one at its stop."""
    import shmtel

    def span() -> None:
        with shmtel.span("tool.execution", METADATA, CORRELATION_ID):
            pass

    return Sender(span, dropped=lambda: sum(shmtel.stats()["dropped"].values()))


def open_off(address: str) -> Sender:
    """Emit where the variable is unset; nothing is recorded."""
    import shmtel

    emit = partial(shmtel.emit, EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)
    return Sender(emit, kept=lambda: 0)


def open_filtered(address: str) -> Sender:
    """Emit what a filter leaves out."""
    return _left_out("filtered")


def open_sampled(address: str) -> Sender:
    """Emit what is sampled out."""
    return _left_out("sampled_out")


def _left_out(counter: str) -> Sender:
    import shmtel

    emit = partial(shmtel.emit, EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)
    emit()
    assert shmtel.stats()[counter] == 1
    return Sender(emit, kept=lambda: shmtel.stats()["committed"])
