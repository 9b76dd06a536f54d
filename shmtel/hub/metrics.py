"""The metrics of a hub: of itself, and of its fleet by node.

A fleet has too many rings for a time series each; `shmtel ledger --hub` names them.
"""

from collections.abc import Mapping

from shmtel.accounting.fleet import FleetLedger
from shmtel.endpoints import ledger_metrics
from shmtel.endpoints.exposition import BUILD_INFO, READY, Family, Samples
from shmtel.hub import sink_metrics
from shmtel.hub.counters import HubStats

_FLEET = "shmtel_fleet"
# By field of HubStats.
_OWN = {
    "streams": Family("shmtel_hub_streams", "gauge", "Collectors that are connected."),
    "batches": Family("shmtel_hub_batches_total", "counter", "Batches handed on."),
    "segments": Family("shmtel_hub_segments_total", "counter", "Segments accepted."),
    "delivered": Family(
        "shmtel_hub_events_delivered_total", "counter", "Events that handlers got."
    ),
    "rejected": Family(
        "shmtel_hub_events_rejected_total",
        "counter",
        "Events of segments that the hub could not read.",
    ),
    "redelivered": Family(
        "shmtel_hub_events_redelivered_total",
        "counter",
        "Events that handlers of an earlier hub may have got, marked so.",
    ),
    "repeated": Family(
        "shmtel_hub_events_repeated_total",
        "counter",
        "Events that exactly-once sinks had stored already.",
    ),
    "missed": Family(
        "shmtel_hub_events_missed_total",
        "counter",
        "Events that handlers with a queue had no room for, or were detached before.",
    ),
    "commits": Family(
        "shmtel_hub_commits_total",
        "counter",
        "Transactions, each for many batches.",
    ),
    "commit_failures": Family(
        "shmtel_hub_commit_failures_total",
        "counter",
        "Transactions that failed and were tried again.",
    ),
    "discarded": Family(
        "shmtel_hub_segments_discarded_total",
        "counter",
        "Segments and ring ends that did not continue their ring; they come again.",
    ),
    "violations": Family(
        "shmtel_hub_violations_total",
        "counter",
        "Streams ended because of what the collector sent.",
    ),
    "internal_errors": Family(
        "shmtel_hub_internal_errors_total",
        "counter",
        "Streams ended because of a defect in the hub.",
    ),
    "refused_streams": Family(
        "shmtel_hub_streams_refused_total",
        "counter",
        "Collectors that found no room; raise max_collectors.",
    ),
    "refused_probes": Family(
        "shmtel_hub_probes_refused_total",
        "counter",
        "Watches of the hub's health, and reflections, that found no room.",
    ),
    "dropped_events": Family(
        "shmtel_hub_own_events_dropped_total",
        "counter",
        "Events of the hub's own that found no room.",
    ),
    "handler_failures": Family(
        "shmtel_hub_handler_failures_total", "counter", "Handlers that have raised."
    ),
    "handlers": Family("shmtel_hub_handlers", "gauge", "Handlers that are attached."),
}
FAMILIES = (
    BUILD_INFO,
    READY,
    *_OWN.values(),
    *sink_metrics.FAMILIES,
    *ledger_metrics.families(_FLEET, "node", dropped=("node",)),
    Family(
        "shmtel_fleet_oldest_unanswered_seconds",
        "gauge",
        "Age of the oldest batch of a host that is not acknowledged; 0: none.",
        ("node",),
    ),
    Family(
        "shmtel_fleet_host_connected",
        "gauge",
        "1 while the host is connected; else its numbers are of the last word.",
        ("node",),
    ),
    Family(
        "shmtel_fleet_host_heard_timestamp_seconds",
        "gauge",
        "When the hub last heard of the host; 0: not since it was started.",
        ("node",),
    ),
    Family(
        "shmtel_fleet_rings",
        "gauge",
        "Rings that are kept one by one: live, gone, or why they were closed.",
        ("node", "state"),
    ),
    Family(
        "shmtel_fleet_rings_refused_total",
        "counter",
        "Segments under a ring's name that no collector reads, by reason.",
        ("node", "reason"),
    ),
    Family(
        "shmtel_fleet_rings_quarantined_total",
        "counter",
        "Rings that turned out damaged, by reason.",
        ("node", "reason"),
    ),
    Family(
        "shmtel_fleet_rings_evicted_total",
        "counter",
        "Rings of dead workers that were removed undrained.",
        ("node",),
    ),
    Family(
        "shmtel_fleet_spool_bytes", "gauge", "Taken by the host's spool.", ("node",)
    ),
    Family(
        "shmtel_fleet_spool_max_bytes",
        "gauge",
        "Room of the host's spool; 0: there is none.",
        ("node",),
    ),
    Family(
        "shmtel_fleet_spool_refused_total",
        "counter",
        "Rings that found no place in the host's spool, by reason.",
        ("node", "reason"),
    ),
    Family(
        "shmtel_fleet_spool_damaged_total",
        "counter",
        "Times that the host's spool, or something in it, was not what it had been.",
        ("node",),
    ),
)


def samples_of(
    stats: HubStats,
    ledger: FleetLedger,
    unanswered_ns: Mapping[str, int],
    closed: Mapping[tuple[str, str], int] | None = None,
) -> Samples:
    """Return the values of a scrape.

    Args:
        unanswered_ns: by node, the age of its oldest batch without an answer.
        closed: rings that are in the sums of the ledger, by node and reason.
    """
    samples = Samples(FAMILIES)
    for field, family in _OWN.items():
        samples.add(family.name, getattr(stats, field))
    _add_hosts(samples, ledger)
    for node, age_ns in unanswered_ns.items():
        samples.add("shmtel_fleet_oldest_unanswered_seconds", age_ns / 1e9, node)
    for ring in ledger.rings:
        if ring.ring_id:
            samples.add("shmtel_fleet_rings", 1, ring.node, ring.state)
    for (node, reason), rings in (closed or {}).items():
        samples.add("shmtel_fleet_rings", rings, node, reason)
    return samples


def _add_hosts(samples: Samples, ledger: FleetLedger) -> None:
    heard: dict[str, int] = {}
    for known in ledger.hosts:
        host, counters, node = known.host, known.host.counters, known.host.node
        ledger_metrics.add_account(
            samples, _FLEET, known.account, node, dropped=(node,)
        )
        heard[node] = max(heard.get(node, 0), host.as_of_ns)
        samples.add("shmtel_fleet_host_connected", int(host.connected), node)
        samples.add("shmtel_fleet_rings_evicted_total", counters.evicted_rings, node)
        samples.add("shmtel_fleet_spool_bytes", counters.spool_bytes, node)
        samples.add("shmtel_fleet_spool_max_bytes", counters.spool_max_bytes, node)
        samples.add("shmtel_fleet_spool_damaged_total", counters.spool_damaged, node)
        for name, counts in (
            ("shmtel_fleet_rings_refused_total", counters.refused),
            ("shmtel_fleet_rings_quarantined_total", counters.quarantined),
            ("shmtel_fleet_spool_refused_total", counters.spool_refused),
        ):
            samples.add_counts(name, counts, node)
    for node, heard_ns in heard.items():
        samples.add("shmtel_fleet_host_heard_timestamp_seconds", heard_ns / 1e9, node)
