"""What a hub exposes of all that hangs on it: metrics of events, bridges, files."""

from collections.abc import Iterable, Mapping

from shmtel.endpoints.exposition import Family, Samples
from shmtel.hub.bridges.account import Accountable
from shmtel.hub.handlers import Handler
from shmtel.hub.measures.standing import Reading

_MEASURES = (
    Family(
        "shmtel_hub_metric_series",
        "gauge",
        "Series of a metric of events.",
        ("metric",),
    ),
    Family(
        "shmtel_hub_metric_events_folded_total",
        "counter",
        "Events counted together as (other), for a metric has too many series.",
        ("metric",),
    ),
    Family(
        "shmtel_hub_metric_events_retired_total",
        "counter",
        "Events that were counted in series of workers that are gone.",
        ("metric",),
    ),
    Family(
        "shmtel_hub_metric_events_skipped_total",
        "counter",
        "Events that a metric is about and that are not in it, by reason.",
        ("metric", "reason"),
    ),
)
_OF_BRIDGE = ("bridge", "kind")
_BRIDGES = (
    Family(
        "shmtel_bridge_items_sent_total",
        "counter",
        "Items such as spans that the system behind a bridge has taken.",
        _OF_BRIDGE,
    ),
    Family(
        "shmtel_bridge_items_dropped_total",
        "counter",
        "Items that a bridge could not pass on, by reason.",
        (*_OF_BRIDGE, "reason"),
    ),
    Family("shmtel_bridge_items_waiting", "gauge", "Items to be sent.", _OF_BRIDGE),
    Family(
        "shmtel_bridge_waiting_bytes",
        "gauge",
        "Taken by what waits in a bridge or is being sent.",
        _OF_BRIDGE,
    ),
    Family(
        "shmtel_bridge_retries_total",
        "counter",
        "Requests that a bridge has sent again.",
        _OF_BRIDGE,
    ),
    Family(
        "shmtel_bridge_failures_total",
        "counter",
        "Tries of a bridge to send that failed, by reason; what they held waits.",
        (*_OF_BRIDGE, "reason"),
    ),
)
_FILE_CHANGES = Family(
    "shmtel_hub_file_changes_total",
    "counter",
    "What happened to the files of a sink, by what it was.",
    ("handler", "change"),
)
FAMILIES = (*_MEASURES, *_BRIDGES, _FILE_CHANGES)


def add_measures(
    samples: Samples,
    readings: Iterable[Reading],
    skipped: Mapping[tuple[str, str], int],
) -> None:
    """Add what the hub can tell of its metrics of events."""
    for reading in readings:
        name, folded = reading.metric.name, reading.folded
        samples.add("shmtel_hub_metric_series", len(reading.series), name)
        samples.add("shmtel_hub_metric_events_folded_total", folded, name)
        samples.add("shmtel_hub_metric_events_retired_total", reading.retired, name)
    for (name, reason), count in skipped.items():
        samples.add("shmtel_hub_metric_events_skipped_total", count, name, reason)


def add_bridges(samples: Samples, bridges: Iterable[Accountable]) -> None:
    """Add what became of what bridges were given."""
    for bridge in bridges:
        for kind, account in bridge.accounts().items():
            by = bridge.bridge_name, kind
            samples.add("shmtel_bridge_items_sent_total", account.sent, *by)
            samples.add("shmtel_bridge_items_waiting", account.waiting, *by)
            samples.add("shmtel_bridge_waiting_bytes", account.waiting_bytes, *by)
            samples.add("shmtel_bridge_retries_total", account.retries, *by)
            for name, counts in (
                ("shmtel_bridge_items_dropped_total", account.dropped),
                ("shmtel_bridge_failures_total", account.failures),
            ):
                samples.add_counts(name, counts, *by)


def add_file_changes(samples: Samples, handlers: Iterable[Handler]) -> None:
    """Add what the sinks among the handlers have done with their files."""
    for handler in handlers:
        counts = getattr(handler.function, "file_counts", {})
        samples.add_counts(_FILE_CHANGES.name, counts, handler.handler_id)
