"""The metrics of a collector.

Names and labels follow the words of the glossary. A worker is told by its stable
index, never by its pid: a pid that is gone would stay in the time series for ever.
"""

from shmtel.endpoints import ledger_metrics
from shmtel.endpoints.exposition import BUILD_INFO, READY, Family, Samples
from shmtel_collector.census import Census

_PREFIX = "shmtel"
_RING = ("service", "worker")
_STRIPPED = ("event", "reason")
FAMILIES = (
    BUILD_INFO,
    READY,
    *ledger_metrics.families(_PREFIX, "service", dropped=_RING),
    Family(
        "shmtel_events_stripped_total",
        "counter",
        "Events delivered without keys that the catalog does not allow.",
        _STRIPPED,
    ),
    Family(
        "shmtel_keys_stripped_total",
        "counter",
        "Keys that those events came with.",
        _STRIPPED,
    ),
    Family(
        "shmtel_workers",
        "gauge",
        "Rings that are served: live, ending (the worker is gone), or quarantined.",
        ("namespace", "service", "state"),
    ),
    Family("shmtel_ring_size_bytes", "gauge", "Room in a worker's rings.", _RING),
    Family("shmtel_ring_used_bytes", "gauge", "Of it taken now.", _RING),
    Family(
        "shmtel_ring_high_water_bytes",
        "gauge",
        "The most that was taken of one of them.",
        _RING,
    ),
    Family(
        "shmtel_rings_reaped_total",
        "counter",
        "Rings that were accounted for and removed, by the reason of their end.",
        ("reason",),
    ),
    Family(
        "shmtel_rings_refused_total",
        "counter",
        "Segments under a ring's name that were not read, by reason.",
        ("reason",),
    ),
    Family(
        "shmtel_rings_quarantined_total",
        "counter",
        "Rings that turned out damaged, by reason.",
        ("reason",),
    ),
    Family("shmtel_hub_connected", "gauge", "1 while the hub takes events."),
    Family(
        "shmtel_hub_reconnects_total",
        "counter",
        "Streams that a hub has accepted after the first one of this collector.",
    ),
    Family(
        "shmtel_oldest_unacked_seconds",
        "gauge",
        "Age of the oldest batch that the hub has not acknowledged; 0: none.",
    ),
    Family("shmtel_spool_bytes", "gauge", "Taken by the spool."),
    Family("shmtel_spool_max_bytes", "gauge", "Room of the spool; 0: there is none."),
    Family(
        "shmtel_spool_refused_total",
        "counter",
        "Rings that found no place in the spool, once a second while that lasts.",
        ("reason",),
    ),
    Family(
        "shmtel_spool_damaged_total",
        "counter",
        "Times that the spool was set aside, or something in it was not what it was.",
    ),
    Family(
        "shmtel_own_events_left_out_total",
        "counter",
        "Events of the collector's own that were too many at a time, by kind.",
        ("kind",),
    ),
    Family(
        "shmtel_resources_unavailable_total",
        "counter",
        "Times that a worker's memory or CPU could not be read, by reason.",
        ("reason",),
    ),
    Family(
        "shmtel_control_generation",
        "gauge",
        "Version of the hub's policy that is in force; 0: none.",
    ),
    Family(
        "shmtel_collector_epoch_seconds",
        "gauge",
        "Epoch of this collector: grows with each start.",
    ),
)


def samples_of(census: Census) -> Samples:
    """Return the values of a census."""
    samples = Samples(FAMILIES)
    _add_sums(samples, census)
    for (service, state), count in census.workers.items():
        samples.add("shmtel_workers", count, census.namespace, service, state)
    for key, events in census.stripped_events.items():
        samples.add("shmtel_events_stripped_total", events, *key)
        samples.add("shmtel_keys_stripped_total", census.stripped_keys[key], *key)
    _add_fills(samples, census)
    _add_host(samples, census)
    return samples


def _add_sums(samples: Samples, census: Census) -> None:
    for (service, worker), account in census.accounts().items():
        ledger_metrics.add_account(
            samples, _PREFIX, account, service, dropped=(service, worker)
        )
    for gone in census.gone.values():
        samples.add_counts("shmtel_rings_reaped_total", gone.ended)


def _add_fills(samples: Samples, census: Census) -> None:
    highest: dict[tuple[str, str], int] = {}
    for key, fill in census.fills:
        samples.add("shmtel_ring_size_bytes", fill.size, *key)
        samples.add("shmtel_ring_used_bytes", fill.used, *key)
        highest[key] = max(highest.get(key, 0), fill.high_water)
    for key, high_water in highest.items():
        samples.add("shmtel_ring_high_water_bytes", high_water, *key)


def _add_host(samples: Samples, census: Census) -> None:
    host, link = census.host, census.link
    samples.add_counts("shmtel_rings_refused_total", host.refused)
    samples.add_counts("shmtel_rings_quarantined_total", host.quarantined)
    samples.add_counts("shmtel_spool_refused_total", host.spool_refused)
    samples.add_counts("shmtel_own_events_left_out_total", census.own.left_out)
    samples.add_counts("shmtel_resources_unavailable_total", census.own.unavailable)
    for name, value in (
        ("shmtel_hub_connected", int(link.is_connected)),
        ("shmtel_hub_reconnects_total", max(link.welcomes - 1, 0)),
        ("shmtel_oldest_unacked_seconds", link.oldest_unacked_ns / 1e9),
        ("shmtel_spool_bytes", host.spool_bytes),
        ("shmtel_spool_max_bytes", host.spool_max_bytes),
        ("shmtel_spool_damaged_total", host.spool_damaged),
        ("shmtel_control_generation", census.policy_version),
        ("shmtel_collector_epoch_seconds", census.epoch / 1e9),
    ):
        samples.add(name, value)
