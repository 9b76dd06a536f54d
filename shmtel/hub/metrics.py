"""The metrics of a hub: of itself, and of its fleet by node.

A fleet has too many rings for a time series each; `shmtel ledger --hub` names them.
A host is named by its node and the namespace of its collector.
"""

from collections.abc import Iterable, Mapping

from shmtel.accounting.fleet import HostAccount
from shmtel.endpoints import ledger_metrics
from shmtel.endpoints.exposition import BUILD_INFO, READY, Family, Samples
from shmtel.hub import sink_metrics
from shmtel.hub.counters import HubStats
from shmtel.hub.ledger import Summary
from shmtel.wire.control import HostLedger

_FLEET = "shmtel_fleet"
_PLACE = ("node", "namespace")
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
        "Events that handlers had no room for, or did not handle because they raised.",
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
    *ledger_metrics.families(_FLEET, *_PLACE, dropped=_PLACE),
    Family(
        "shmtel_fleet_oldest_unanswered_seconds",
        "gauge",
        "Age of the oldest batch of a host that is not acknowledged; 0: none.",
        _PLACE,
    ),
    Family(
        "shmtel_fleet_host_connected",
        "gauge",
        "1 while the host is connected; else its numbers are of the last word.",
        _PLACE,
    ),
    Family(
        "shmtel_fleet_host_heard_timestamp_seconds",
        "gauge",
        "When the hub last heard of the host; 0: not since it was started.",
        _PLACE,
    ),
    Family(
        "shmtel_fleet_rings",
        "gauge",
        "Rings that are kept one by one: live, gone, or why they were closed.",
        (*_PLACE, "state"),
    ),
    Family(
        "shmtel_fleet_rings_refused_total",
        "counter",
        "Segments under a ring's name that no collector reads, by reason.",
        (*_PLACE, "reason"),
    ),
    Family(
        "shmtel_fleet_rings_quarantined_total",
        "counter",
        "Rings that turned out damaged, by reason.",
        (*_PLACE, "reason"),
    ),
    Family(
        "shmtel_fleet_rings_evicted_total",
        "counter",
        "Rings of dead workers that were removed undrained.",
        _PLACE,
    ),
    Family("shmtel_fleet_spool_bytes", "gauge", "Taken by the host's spool.", _PLACE),
    Family(
        "shmtel_fleet_spool_max_bytes",
        "gauge",
        "Room of the host's spool; 0: there is none.",
        _PLACE,
    ),
    Family(
        "shmtel_fleet_spool_refused_total",
        "counter",
        "Rings that found no place in the host's spool, by reason.",
        (*_PLACE, "reason"),
    ),
    Family(
        "shmtel_fleet_spool_damaged_total",
        "counter",
        "Times that the host's spool, or something in it, was not what it had been.",
        _PLACE,
    ),
)


def samples_of(
    stats: HubStats, fleet: Summary, unanswered_ns: Mapping[str, int]
) -> Samples:
    """Return the values of a scrape.

    Args:
        unanswered_ns: by host id, the age of its oldest batch without an answer.
    """
    samples = Samples(FAMILIES)
    for field, family in _OWN.items():
        samples.add(family.name, getattr(stats, field))
    places = {host.host_id: _place(host) for host in fleet.hosts}
    for known in fleet.ledger.hosts:
        _add_host(samples, known, _place(known.host))
    for ring in fleet.ledger.rings:
        if ring.ring_id:
            place = places[ring.host_id]
            samples.add("shmtel_fleet_rings", 1, *place, ring.state)
    for (host_id, reason), rings in fleet.closed.items():
        samples.add("shmtel_fleet_rings", rings, *places[host_id], reason)
    _add_presence(samples, fleet.hosts, unanswered_ns)
    return samples


def _place(host: HostLedger) -> tuple[str, str]:
    return host.node, host.namespace


def _add_presence(
    samples: Samples, hosts: Iterable[HostLedger], unanswered_ns: Mapping[str, int]
) -> None:
    """Add what is known of all hosts, whatever they have told."""
    heard_ns: dict[tuple[str, str], int] = {}
    oldest_ns: dict[tuple[str, str], int] = {}
    for host in hosts:
        place = _place(host)
        samples.add("shmtel_fleet_host_connected", int(host.connected), *place)
        heard_ns[place] = max(heard_ns.get(place, 0), host.as_of_ns)
        if (age_ns := unanswered_ns.get(host.host_id)) is not None:
            oldest_ns[place] = max(oldest_ns.get(place, 0), age_ns)
    for name, by_place in (
        ("shmtel_fleet_host_heard_timestamp_seconds", heard_ns),
        ("shmtel_fleet_oldest_unanswered_seconds", oldest_ns),
    ):
        for place, ns in by_place.items():
            samples.add(name, ns / 1e9, *place)


def _add_host(samples: Samples, known: HostAccount, place: tuple[str, str]) -> None:
    """Add what a host has told, and what is on record of it."""
    counters = known.host.counters
    ledger_metrics.add_account(samples, _FLEET, known.account, *place, dropped=place)
    samples.add("shmtel_fleet_rings_evicted_total", counters.evicted_rings, *place)
    samples.add("shmtel_fleet_spool_bytes", counters.spool_bytes, *place)
    samples.add("shmtel_fleet_spool_max_bytes", counters.spool_max_bytes, *place)
    samples.add("shmtel_fleet_spool_damaged_total", counters.spool_damaged, *place)
    for name, counts in (
        ("shmtel_fleet_rings_refused_total", counters.refused),
        ("shmtel_fleet_rings_quarantined_total", counters.quarantined),
        ("shmtel_fleet_spool_refused_total", counters.spool_refused),
    ):
        samples.add_counts(name, counts, *place)
