"""What a hub tells over HTTP as JSON, under /api/v1.

Documents that a verb of the tools prints as well are the same here: the ledger that of
`shmtel ledger --hub --json`, the policy that of `shmtel ctl show --hub --json`.

Rules:
- text of workers and hosts is passed on as it is; JSON escapes what would steer a
  terminal;
- a time is in ns by CLOCK_REALTIME, or null where it is not known.
"""

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from shmtel import accounting
from shmtel.accounting.fleet import RingAccount
from shmtel.endpoints.resources import Key, Page, Query, Resource, page_of
from shmtel.hub.event_counts import NO_NAME, WINDOW_S, EventCount
from shmtel.hub.hub import Hub
from shmtel.hub.insight import KnownRing, KnownWorker
from shmtel.wire.control_json import policy_document
from shmtel.wire.frames import Worker

WORKERS_SCHEMA = "shmtel/api/workers/v1"
RINGS_SCHEMA = "shmtel/api/rings/v1"
EVENTS_SCHEMA = "shmtel/api/events/v1"

_NODE = {"node": "glob over the names of hosts"}
_WORKER = _NODE | {"worker": "glob over the ids of workers"}
_PLACE = _WORKER | {
    "pool": "glob over the names of pools",
    "service": "glob over the names of services",
    "state": "glob over `live`, `gone`, and why rings were closed",
}


def resources(hub: Hub) -> tuple[Resource, ...]:
    """Return what a hub tells."""
    api = _Api(hub)
    return (
        Resource(
            "workers",
            "Processes that emit or did, with what became of their events.",
            *(api.workers, _PLACE, True),
        ),
        Resource(
            "rings",
            "Rings that are kept one by one: how far each is, and its account.",
            *(api.rings, _PLACE, True),
        ),
        Resource(
            "events",
            "Event names, with what this hub has seen of them since it was started.",
            *(api.events, {"event": "glob over names"}, True),
        ),
        Resource(
            "ledger",
            "What became of every event of the fleet: in all, by host, by ring.",
            *(api.ledger, _WORKER, True),
        ),
        Resource(
            "policy",
            "The rules for the fleet, and what each connected host made of them.",
            *(api.policy, _NODE),
        ),
    )


class _Api:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def workers(self, query: Query) -> dict[str, Any]:
        """Return processes."""
        wanted = [
            known
            for known in self._hub.insight.workers()
            if _is_wanted(query, known.host.node, known.worker, known.state)
        ]
        page = page_of(wanted, _worker_key, query)
        rows = list(map(_worker_row, page.rows))
        return {"schema": WORKERS_SCHEMA, **_paging(page), "workers": rows}

    def rings(self, query: Query) -> dict[str, Any]:
        """Return rings."""
        wanted = [
            known
            for known in self._hub.insight.rings()
            if _is_wanted(query, known.host.node, known.ring.worker, known.state)
        ]
        page = page_of(wanted, _ring_key, query)
        rows = list(map(_ring_row, page.rows))
        return {"schema": RINGS_SCHEMA, **_paging(page), "rings": rows}

    def events(self, query: Query) -> dict[str, Any]:
        """Return counts by name."""
        seen = self._hub.insight.events()
        wanted = [event for event in seen.events if query.wants(event=event.name)]
        page = page_of(wanted, lambda event: (event.name,), query)
        return {
            "schema": EVENTS_SCHEMA,
            "since_ns": seen.since_ns,
            "window_s": WINDOW_S,
            "unread": seen.unread,
            **_paging(page),
            "events": list(map(_event_row, page.rows)),
        }

    def ledger(self, query: Query) -> dict[str, Any]:
        """Return the ledger of what is asked for, with a page of its rings."""
        whole = self._hub.ledger()
        shown = whole.of_nodes(query.globs["node"]) if "node" in query.globs else whole
        if "worker" in query.globs:
            shown = shown.of_workers(query.globs["worker"])
        page = page_of(shown.rings, _account_key, query)
        return {
            "schema": accounting.SCHEMA,
            "hub": self._hub.address,
            **_paging(page),
            **replace(shown, rings=tuple(page.rows)).to_json(),
        }

    def policy(self, query: Query) -> dict[str, Any]:
        """Return the policy."""
        report = self._hub.policy_report()
        hosts = tuple(host for host in report.hosts if query.wants(node=host.node))
        return policy_document(replace(report, hosts=hosts))


def _is_wanted(query: Query, node: str, worker: Worker, state: str) -> bool:
    return query.wants(
        node=node,
        worker=worker.worker_id,
        pool=worker.pool_name,
        service=worker.service,
        state=state,
    )


def _paging(page: Page[Any]) -> dict[str, Any]:
    return {"matched": page.matched, "next": page.next}


def _worker_key(known: KnownWorker) -> Key:
    worker = known.worker
    return known.host.node, worker.worker_id, worker.pid, known.host.host_id


def _ring_key(known: KnownRing) -> Key:
    ring = known.ring
    return known.host.node, ring.worker.worker_id, ring.ring_id.hex(), ring.host_id


def _account_key(row: RingAccount) -> Key:
    return row.node, row.worker_id, row.ring_id, row.state, row.host_id


def _worker_row(known: KnownWorker) -> dict[str, Any]:
    return {
        "node": known.host.node,
        "host_id": known.host.host_id,
        "connected": known.host.connected,
        **asdict(known.worker),
        "state": known.state,
        "last_seen_ns": known.last_seen_ns or None,
        "rings": known.rings,
        **known.account.to_json(),
    }


def _ring_row(known: KnownRing) -> dict[str, Any]:
    ring = known.ring
    return {
        "node": known.host.node,
        "host_id": known.host.host_id,
        "ring_id": ring.ring_id.hex(),
        "worker_id": ring.worker.worker_id,
        "pool_name": ring.worker.pool_name,
        "service": ring.worker.service,
        "pid": ring.worker.pid,
        "state": known.state,
        "last_seen_ns": known.last_seen_ns or None,
        "last_seq": ring.last_seq,
        "sent_seq": ring.sent_seq,
        "spooled_seq": ring.spooled_seq,
        **known.account.to_json(),
    }


_LEFT_OUT = (
    "sampled_out_by_collector",
    "filtered_by_collector",
    "disabled_by_collector",
)


def _event_row(event: EventCount) -> dict[str, Any]:
    left_out = event.left_out
    return {
        "event": None if event.name == NO_NAME else event.name,
        "delivered": event.delivered,
        "per_second": event.per_second,
        **{word: left_out.get((word, ""), 0) for word in _LEFT_OUT},
        "rejected": _reasons("rejected", left_out.items()),
        "lost": _reasons("lost", left_out.items()),
    }


def _reasons(
    word: str, counts: Iterable[tuple[tuple[str, str], int]]
) -> dict[str, int]:
    return {reason: events for (of_word, reason), events in counts if of_word == word}
