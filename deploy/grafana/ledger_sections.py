"""Sections about what becomes of events, of the fleet, as the hub knows it by node."""

from panels import (
    FLEET,
    Panel,
    Query,
    Section,
    added,
    number,
    rate,
    value,
)


def _fleet(word: str, legend: str = "") -> Query:
    return rate(f"shmtel_fleet_events_{word}_total", "", FLEET, legend or word)


GLANCE = Section(
    "At a glance",
    [
        number(
            *("Hosts", "short", f"sum(shmtel_fleet_host_connected{FLEET})"),
            "Hosts whose collector has a stream to the hub. Fewer than there should "
            "be: look for collectors that do not run, and at Hub connected.",
        ),
        number(
            *("Workers", "short"),
            'sum(shmtel_fleet_rings{node=~"$node", state="live"})',
            "Rings of workers that live. A worker has one from its first event on.",
        ),
        number(
            *("Delivered", "eps"),
            f"sum(rate(shmtel_fleet_events_delivered_total{FLEET}[$__rate_interval]))",
            "Events per second that the hub has acknowledged.",
        ),
        number(
            *("Dropped", "short"),
            f"sum(increase(shmtel_fleet_events_dropped_total{FLEET}[$__range]))",
            "Events that workers could not record. By reason: see Dropped, by reason.",
            bad_from=1,
        ),
        number(
            *("Lost", "short"),
            f"sum(increase(shmtel_fleet_events_lost_total{FLEET}[$__range]))",
            "Events that were recorded and never delivered. A flight recorder loses by "
            "design; for other reasons see Lost, by reason.",
            bad_from=1,
        ),
        number(
            *("Unaccounted", "short"),
            f"sum(abs(shmtel_fleet_ledger_unaccounted_events{FLEET}))",
            "Events that are nowhere. Not 0 for minutes is a defect of shmtel: please "
            "report it with `shmtel ledger --hub ADDR --json`.",
            bad_from=1,
        ),
        number(
            *("Oldest without ack", "s"),
            f"max(shmtel_fleet_oldest_unanswered_seconds{FLEET})",
            "Above 5 s a handler of the hub, or its disk, does not keep up: ask the "
            "hub's /readyz?verbose.",
            bad_from=5,
        ),
        number(
            *("Not ready", "short", "sum(1 - shmtel_ready)"),
            "Hubs and collectors that say so at /readyz, with the reason.",
            bad_from=1,
        ),
    ],
)

FATES = Panel(
    *("What becomes of events", "eps"),
    [
        *map(_fleet, ("delivered", "sampled_out", "filtered", "disabled", "dropped")),
        *map(_fleet, ("rejected", "lost")),
        *(
            _fleet(f"{word}_by_collector", f"{word} by the collector")
            for word in ("sampled_out", "filtered", "disabled")
        ),
    ],
    "Every event that was emitted is one of these. Sampled out, filtered and disabled "
    "is what the policy asks for; dropped, rejected and lost is not.",
    width=12,
    is_stacked=True,
)

LEDGER = Section(
    "Ledger",
    [
        Panel(
            *("Dropped, by reason", "eps"),
            [rate("shmtel_fleet_events_dropped_total", "node, reason", FLEET)],
            "ring_full: larger rings (SHMTEL_RING_SIZE), a lower sampling rate, or a "
            "look at what keeps the hub. name_table_full: put what varies into "
            "metadata. too_large, invalid: look at who emits, with SHMTEL_STRICT=1. "
            "no_ring: room in /dev/shm.",
        ),
        Panel(
            *("Lost, by reason", "short"),
            added("shmtel_fleet_events_lost_total", "node, reason", FLEET),
            "overwritten: a flight recorder, by design. evicted: dead workers whom no "
            "collector drained. quarantined: a damaged ring. hub_state_lost: the "
            "hub's table is older than what it acknowledged. spool_damaged: the disk.",
            bad_from=1,
        ),
        Panel(
            *("Rejected, by reason", "short"),
            added("shmtel_fleet_events_rejected_total", "node, reason", FLEET),
            "A worker wrote into its ring what is no event: memory corruption, or an "
            "attack. by_hub: the hub could not read it.",
            bad_from=1,
        ),
        Panel(
            *("Unaccounted, by host", "short"),
            [value("shmtel_fleet_ledger_unaccounted_events", "node", FLEET)],
            "Committed minus all that is known of it. Not 0 for minutes is a defect of "
            "shmtel: please report it.",
            bad_from=1,
            can_be_negative=True,
        ),
        Panel(
            *("On their way", "short"),
            [
                value(f"shmtel_fleet_events_{word}", "", FLEET, word)
                for word in ("in_ring", "in_flight", "spooled")
            ],
            "Events that are not acknowledged yet. What grows waits for the hub: see "
            "Oldest batch without an ack.",
            is_stacked=True,
        ),
        Panel(
            *("Emitted and committed", "eps"),
            [_fleet("emitted"), _fleet("committed")],
            "What workers asked for, and what is in their rings. Between the two is "
            "what was dropped or left out by the policy.",
        ),
        Panel(
            *("Rings that are not read", "short"),
            [
                *added("shmtel_fleet_rings_refused_total", "node, reason", FLEET),
                *added("shmtel_fleet_rings_quarantined_total", "node, reason", FLEET),
            ],
            "Something under a ring's name is none, or a ring is damaged. The reasons "
            "are explained in the guide to a host, Rings that are refused.",
            bad_from=1,
        ),
        Panel(
            *("Rings that were evicted", "short"),
            added("shmtel_fleet_rings_evicted_total", "node", FLEET),
            "Dead workers' rings that were removed undrained, because they took more "
            "than a quarter of their file system: run a collector there.",
            bad_from=1,
        ),
        Panel(
            *("Rings, by state", "short"),
            [value("shmtel_fleet_rings", "state", FLEET)],
            "live, or why they ended. Many that vanished were killed: `shmtel crash` "
            "shows their last events.",
        ),
    ],
)
