"""What is in force for a worker, and which rules set it.

The hub judges with the same code as a collector: its own policy, then the layers
that the host has reported. A host that has another policy in force is explained
by the hub's all the same, with a note.

Rules:
- reads only; the lists of names are copied, because streams add to them.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from shmtel import _ring
from shmtel.hub.fleet import Host
from shmtel.hub.ring_entry import RingEntry
from shmtel.policy.model import FLEET, Layer, Policy, Traits
from shmtel.policy.rules import PolicyError
from shmtel.policy.verdicts import Judge
from shmtel.wire.control import Explanation

WORKERS_MAX = 256  # explained at once
_UNSURE = (
    "where a guard rail sets a rate, a stricter setting of the worker's own holds, "
    "which only its host knows"
)
_COLLECTOR = ("collector", "shmtel")  # its own ring, which no policy acts on


def explained(
    policy: Policy, hosts: list[Host], entries: list[RingEntry], glob: str
) -> list[Explanation]:
    """Explain the workers of connected hosts whose ids match.

    Raises:
        PolicyError: there are too many of them.
    """
    by_id = {host.host_id: host for host in hosts}
    wanted = [
        entry
        for entry in entries
        if entry.host_id in by_id
        and entry.closed_reason is None
        and (entry.worker.worker_id, entry.worker.pool_name) != _COLLECTOR
        and fnmatchcase(entry.worker.worker_id, glob)
    ]
    if len(wanted) > WORKERS_MAX:
        raise PolicyError(
            0, f"{len(wanted)} workers match; at most {WORKERS_MAX} are explained"
        )
    return list(_explanations(policy, by_id, wanted))


def _explanations(
    policy: Policy, hosts: dict[str, Host], entries: list[RingEntry]
) -> Iterator[Explanation]:
    now_ns = time.time_ns()
    judges: dict[str, Judge] = {}
    for entry in entries:
        host = hosts[entry.host_id]
        judge = judges.get(host.host_id)
        if judge is None:
            layers = [Layer(FLEET, policy.rules), *_local_layers(host)]
            judge = judges[host.host_id] = Judge(layers, now_ns)
        explanation = _explanation(entry, judge)
        notes = filter(None, (_note(policy, host), explanation.note))
        yield replace(explanation, note="; ".join(notes))


def _explanation(entry: RingEntry, judge: Judge) -> Explanation:
    worker = entry.worker
    traits = Traits(worker.worker_id, worker.pool_name, worker.service, entry.node)
    ruling = judge.of_worker(traits)
    # As for a worker that is stricter itself: no limit touches what no rule sets.
    lenient = judge.of_worker(traits, _ring.WORD_DENIED)
    names = list(entry.names)
    events = {name: ruling.of_event(name) for name in names}
    is_unsure = any(events[name] != lenient.of_event(name) for name in names)
    return Explanation(
        node=entry.node,
        worker=worker,
        ring_id=entry.ring_id,
        enabled=ruling.enabled,
        other=lenient.default,
        events=events,
        note=_UNSURE if is_unsure else "",
    )


def _local_layers(host: Host) -> tuple[Layer, ...]:
    return () if host.status is None else host.status.local_layers


def _note(policy: Policy, host: Host) -> str:
    status = host.status
    if status is None:
        return "the host has not said yet what it has in force"
    in_force = (status.in_force_origin, status.in_force_version)
    if in_force == policy.key or (policy.version, in_force[1]) == (0, 0):
        return ""
    reason = ""
    if status.rejection is not None and status.key == policy.key:
        reason = f": it has rejected {policy.version}, {status.rejection.reason}"
    what = f"version {in_force[1]}" if in_force[1] else "no policy"
    if in_force[0] not in ("", policy.origin):
        what += " of another hub"
    return f"the host has {what} in force, not {policy.version}{reason}"
