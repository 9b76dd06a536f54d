"""Sections about the rings and spools of collectors, the hub, and their processes.

Single rings are known to the collectors alone, by service and worker.
"""

from panels import (
    FLEET,
    HOST,
    OURS,
    TOP,
    Panel,
    Query,
    Section,
    added,
    largest,
    largest_rates,
    rate,
    value,
)

HOSTS = Section(
    "Rings, spool and link of the collectors",
    [
        Panel(
            *("Ring fill", "percentunit"),
            [
                Query(
                    f"topk({TOP}, max by (service, worker, instance) "
                    f"(shmtel_ring_used_bytes{HOST} / shmtel_ring_size_bytes{HOST}))",
                    "{{service}} {{worker}} {{instance}}",
                )
            ],
            "At 1 the worker drops. High for long: the hub does not keep up. High for "
            "moments: a larger SHMTEL_RING_SIZE.",
            bad_from=0.8,
        ),
        Panel(
            *("Highest fill ever", "bytes"),
            largest("shmtel_ring_high_water_bytes", "service, worker, instance", HOST),
            "The most that a ring of the worker has held. Rings should be twice that.",
        ),
        Panel(
            *("Dropped, by worker", "eps"),
            largest_rates(
                "shmtel_events_dropped_total", "service, worker, reason", HOST
            ),
            "Who drops, and why.",
        ),
        Panel(
            *("Spool fill", "percentunit"),
            [
                Query(
                    f"shmtel_fleet_spool_bytes{FLEET} / "
                    f"(shmtel_fleet_spool_max_bytes{FLEET} > 0)",
                    "{{node}}",
                )
            ],
            "At 1 events wait in rings alone, and then are dropped. Bring the hub "
            "back, or give --spool-max more.",
            bad_from=0.8,
        ),
        Panel(
            *("Spool refused or damaged", "short"),
            [
                *added("shmtel_fleet_spool_refused_total", "node, reason", FLEET),
                Query(
                    f"sum by (node) "
                    f"(increase(shmtel_fleet_spool_damaged_total{FLEET}[$__range]))",
                    "{{node}} damaged",
                ),
            ],
            "full: a larger --spool-max. no_space, failed, damaged: look at the disk.",
            bad_from=1,
        ),
        Panel(
            *("Rings that are served", "short"),
            [value("shmtel_workers", "service, state", HOST)],
            "quarantined is a damaged ring, of which nothing more is read.",
            is_stacked=True,
        ),
        Panel(
            *("Hub connected", "short"),
            [Query("shmtel_hub_connected", "{{instance}}")],
            "0: the collector has no hub; rings and spool fill. Look at its log, and "
            "whether the hub runs.",
        ),
        Panel(
            *("Reconnects", "short"),
            added("shmtel_hub_reconnects_total", "instance"),
            "Many mean a network, a proxy or a hub that does not stay.",
        ),
        Panel(
            *("Oldest batch without an ack", "s"),
            [
                Query("shmtel_oldest_unacked_seconds", "{{instance}}"),
                value(
                    *("shmtel_fleet_oldest_unanswered_seconds", "node", FLEET),
                    "{{node}}, as the hub sees it",
                ),
            ],
            "As the collectors see it, and as the hub does. Both high: a handler or "
            "the hub's disk is slow. Only the first: the network is.",
            bad_from=5,
        ),
        Panel(
            *("Rings reaped", "short"),
            added("shmtel_rings_reaped_total", "reason"),
            "Dead workers' rings that were delivered and removed, by the reason of "
            "their end.",
        ),
        Panel(
            *("Last heard of a host", "s"),
            [
                Query(
                    f"time() - (shmtel_fleet_host_heard_timestamp_seconds{FLEET} > 0)",
                    "{{node}}",
                )
            ],
            "A second while it is connected. Of a host that is away all numbers here "
            "are as old as this.",
            bad_from=60,
        ),
        Panel(
            *("Left out by the catalog", "short"),
            [
                *added("shmtel_events_stripped_total", "event, reason"),
                *added("shmtel_keys_stripped_total", "event, reason"),
            ],
            "Events that arrived without some of their keys, and how many keys that "
            "were. `shmtel catalog show EVENT` tells the known ones; a catalog of "
            "your own adds more.",
        ),
        Panel(
            *("Not told by the collectors", "short"),
            [
                *added("shmtel_own_events_left_out_total", "kind"),
                *added("shmtel_resources_unavailable_total", "reason"),
            ],
            "Events about workers that were too many at once, and workers whose "
            "memory and CPU cannot be measured, by reason.",
        ),
        Panel(
            *("Policy in force", "short"),
            [Query("shmtel_control_generation", "{{instance}}")],
            "The version of the hub's policy that a collector has applied. Lines that "
            "stay apart: `shmtel ctl show --hub ADDR` tells who refuses it, and why.",
        ),
    ],
)

HUB = Section(
    "Hub",
    [
        Panel(
            *("Handlers that failed, events they missed", "short"),
            [
                Query(f"sum(increase({metric}[$__range]))", legend)
                for metric, legend in (
                    ("shmtel_hub_handler_failures_total", "failures"),
                    ("shmtel_hub_events_missed_total", "missed events"),
                    ("shmtel_hub_own_events_dropped_total", "own events dropped"),
                )
            ],
            "A handler that raises is detached; the log and the event handler.failure "
            "name it. One that misses events does not keep up with its queue.",
            bad_from=1,
        ),
        Panel(
            *("Commits", "ops"),
            [
                rate("shmtel_hub_commits_total", "", legend="commits"),
                rate("shmtel_hub_commit_failures_total", "", legend="failures"),
            ],
            "A failure means that the state directory cannot be written, and that "
            "nothing is acknowledged until it can.",
        ),
        Panel(
            *("Batches and segments", "ops"),
            [
                rate("shmtel_hub_batches_total", "", legend="batches"),
                rate("shmtel_hub_segments_total", "", legend="segments"),
                rate("shmtel_hub_segments_discarded_total", "", legend="discarded"),
            ],
            "Discarded ones did not continue their ring, and come again.",
        ),
        Panel(
            *("Streams", "short"),
            [
                value("shmtel_hub_streams", "", legend="connected"),
                value("shmtel_hub_handlers", "", legend="handlers"),
            ],
            "Collectors that are connected, and handlers that are attached.",
        ),
        Panel(
            *("Streams that were ended or refused", "short"),
            [
                Query(f"sum(increase({metric}[$__range]))", legend)
                for metric, legend in (
                    ("shmtel_hub_violations_total", "violations"),
                    ("shmtel_hub_internal_errors_total", "defects of the hub"),
                    ("shmtel_hub_streams_refused_total", "no room"),
                )
            ],
            "no room: raise max_collectors. Violations: a peer that is no collector, "
            "or one of another version. Defects: please report them.",
            bad_from=1,
        ),
        Panel(
            *("Events at the hub", "eps"),
            [
                rate(f"shmtel_hub_events_{word}_total", "", legend=word)
                for word in ("delivered", "rejected", "redelivered", "repeated")
            ],
            "Redelivered ones may have reached handlers of a hub that was killed; "
            "repeated ones were in a sink already, and were not stored twice.",
        ),
        Panel(
            *("Series of metrics", "short"),
            largest("shmtel_hub_metric_series", "metric"),
            "A metric has room for 1,000 series, unless its definition says otherwise.",
        ),
        Panel(
            *("Folded, skipped, retired", "eps"),
            [
                rate(
                    *("shmtel_hub_metric_events_folded_total", "metric", ""),
                    "{{metric}} folded",
                ),
                rate(
                    *("shmtel_hub_metric_events_skipped_total", "metric, reason", ""),
                    "{{metric}} skipped: {{reason}}",
                ),
                rate(
                    *("shmtel_hub_metric_events_retired_total", "metric", ""),
                    "{{metric}} retired",
                ),
            ],
            "Folded: a tag has more values than there is room for; drop the tag, or "
            "raise series_max. Skipped: events are not as the metric expects them. "
            "Retired: counted in series of workers that are gone.",
        ),
        Panel(
            *("Versions", "short"),
            [Query("shmtel_build_info")],
            "Hubs and collectors that are scraped.",
            kind="table",
        ),
    ],
)

BRIDGES = Section(
    "Bridges to OpenTelemetry and StatsD",
    [
        Panel(
            *("Sent by bridges", "ops"),
            [rate("shmtel_bridge_items_sent_total", "bridge, kind")],
            "Spans, logs, points and lines that the system behind a bridge has taken.",
        ),
        Panel(
            *("Dropped by bridges", "short"),
            added("shmtel_bridge_items_dropped_total", "bridge, kind, reason"),
            "What a bridge could not pass on. See whether the system behind it is "
            "there and keeps up.",
            bad_from=1,
        ),
        Panel(
            *("Waiting in bridges", "short"),
            [value("shmtel_bridge_items_waiting", "bridge, kind")],
            "It grows while the system behind a bridge is slow or away.",
        ),
        Panel(
            *("Waiting bytes", "bytes"),
            [value("shmtel_bridge_waiting_bytes", "bridge, kind")],
            "A bridge has room for so much and no more.",
        ),
        Panel(
            *("Tries that failed", "short"),
            [
                *added("shmtel_bridge_retries_total", "bridge, kind"),
                *added("shmtel_bridge_failures_total", "bridge, kind, reason"),
            ],
            "What they held is sent again, or is counted as dropped.",
        ),
        Panel(
            *("Probes refused", "short"),
            added("shmtel_hub_probes_refused_total"),
            "Health checks and reflections by gRPC that found no room: too many at "
            "once watch the hub.",
        ),
    ],
)

PROCESSES = Section(
    "Processes of hub and collectors",
    [
        Panel(
            *("CPU", "percentunit"),
            [
                Query(
                    f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}",
                    "{{job}} {{instance}}",
                )
            ],
            "Of one core. A hub near 1 is at its end: sample, or run a second one.",
        ),
        Panel(
            *("Memory", "bytes"),
            [Query(f"process_resident_memory_bytes {OURS}", "{{job}} {{instance}}")],
            "Resident. It stays flat while the number of rings does.",
        ),
        Panel(
            *("Open descriptors", "percentunit"),
            [
                Query(
                    f"process_open_fds / process_max_fds {OURS}",
                    "{{job}} {{instance}}",
                )
            ],
            "Of what the process may have. A collector needs three for each ring: "
            "raise LimitNOFILE.",
            bad_from=0.8,
        ),
        Panel(
            *("Ready", "short"),
            [Query("shmtel_ready", "{{job}} {{instance}}")],
            "0: ask /readyz?verbose of the process what fails.",
        ),
        Panel(
            *("Starts", "short"),
            [
                Query(
                    f"changes(process_start_time_seconds[$__range]) {OURS}",
                    "{{job}} {{instance}}",
                ),
                Query(
                    "changes(shmtel_collector_epoch_seconds[$__range])",
                    "{{instance}} epochs",
                ),
            ],
            "How often a process was started anew. Look at its log if nobody did it.",
        ),
    ],
)
