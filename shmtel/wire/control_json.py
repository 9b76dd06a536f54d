"""Answers of the `Control` service as JSON documents.

A rule has the keys under which a file of rules holds it (see policy/tables.py),
and `expires_ns`, by the clock of whoever answered.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from shmtel import _ring
from shmtel.policy.model import Layer, PolicyStatus, Rule
from shmtel.policy.tables import table_of_rule
from shmtel.policy.verdicts import Verdict
from shmtel.wire.control import (
    ChangeReport,
    Explanation,
    HostReport,
    PolicyReport,
    WorkerStatus,
)
from shmtel.wire.summary import Summary

CHANGE_SCHEMA = "shmtel/ctl/change/v1"
POLICY_SCHEMA = "shmtel/ctl/policy/v1"
EFFECTIVE_SCHEMA = "shmtel/ctl/effective/v1"
WORKERS_SCHEMA = "shmtel/ctl/workers/v1"


def change_document(
    report: ChangeReport, found: Summary, is_waited: bool
) -> dict[str, Any]:
    """Return what became of a change; unless it was waited for, nobody knows yet."""
    return {
        "schema": CHANGE_SCHEMA,
        "origin": report.origin,
        "version": report.version,
        "waited": is_waited,
        "complete": found.is_complete if is_waited else None,
        "applied": found.applied,
        "workers": found.workers,
        "duration_ns": report.duration_ns,
        "hosts": list(map(_host, report.hosts)),
    }


def policy_document(report: PolicyReport) -> dict[str, Any]:
    """Return the rules by layer, and what each host has made of them."""
    return {
        "schema": POLICY_SCHEMA,
        "origin": report.origin,
        "version": report.version,
        "layers": list(map(_layer, report.layers)),
        "hosts": list(map(_host, report.hosts)),
    }


def effective_document(explanations: Iterable[Explanation]) -> dict[str, Any]:
    """Return for each worker and event what is in force, and what set it."""
    return {
        "schema": EFFECTIVE_SCHEMA,
        "workers": [
            {
                "node": found.node,
                **asdict(found.worker),
                "ring_id": found.ring_id.hex(),
                "enabled": {"on": found.enabled.word != _ring.RING_OFF}
                | _set_by(found.enabled),
                "other": _verdict(found.other),
                "events": {
                    name: _verdict(verdict) for name, verdict in found.events.items()
                },
                "note": found.note,
            }
            for found in explanations
        ],
    }


def workers_document(workers: Iterable[WorkerStatus]) -> dict[str, Any]:
    """Return the workers that are known."""
    return {
        "schema": WORKERS_SCHEMA,
        "workers": [
            {
                "node": status.node,
                **asdict(status.worker),
                "ring_id": status.ring_id.hex(),
                "last_seq": status.last_seq,
                "closed": status.is_closed,
            }
            for status in workers
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return table_of_rule(rule) | {"expires_ns": rule.expires_ns}


def _layer(layer: Layer) -> dict[str, Any]:
    rules = list(map(_rule, layer.rules))
    return {"name": layer.name, "guard": layer.is_guard, "rules": rules}


def _host(host: HostReport) -> dict[str, Any]:
    status = None if host.status is None else _status(host.status)
    return {
        "node": host.node,
        "host_id": host.host_id,
        "status": status,
        "missing": host.missing,
    }


def _status(status: PolicyStatus) -> dict[str, Any]:
    rejection = None if status.rejection is None else asdict(status.rejection)
    return {
        "origin": status.origin,
        "version": status.version,
        "rejection": rejection,
        "in_force": {
            "origin": status.in_force_origin,
            "version": status.in_force_version,
        },
        "workers": [
            {
                "ring_id": result.ring_id.hex(),
                **asdict(result.traits),
                "failure": result.failure,
            }
            for result in status.workers
        ],
        "unlisted": status.unlisted,
        "duration_ns": status.duration_ns,
        "local_layers": list(map(_layer, status.local_layers)),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"says": says(verdict), "rate": rate_of(verdict)} | _set_by(verdict)


def says(verdict: Verdict) -> str:
    """Return the kind of a verdict: own, denied or rate."""
    words = {_ring.WORD_UNSET: "own", _ring.WORD_DENIED: "denied"}
    return words.get(verdict.word, "rate")


def rate_of(verdict: Verdict) -> float | None:
    """Return the rate that a verdict says; None: it says none."""
    if says(verdict) != "rate":
        return None
    if verdict.word == _ring.WORD_KEEP_NONE:
        return 0.0
    return float(f"{1.0 - verdict.word / 2**32:.9g}")  # a word has 32 bits, no more


def _set_by(verdict: Verdict) -> dict[str, Any]:
    rule = None if verdict.rule is None else _rule(verdict.rule)
    return {"word": verdict.word, "layer": verdict.layer or None, "rule": rule}
