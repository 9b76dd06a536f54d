"""The `Control` service of the hub: what operators' tools call.

Rules:
- bytes in, bytes out; the server maps our errors to its own.
"""

from collections.abc import Callable

from shmtel.hub.fleet import Fleet
from shmtel.hub.table import RingEntry, RingTable
from shmtel.wire.control import (
    LIST_WORKERS,
    SET_RULE,
    RuleSet,
    WorkerStatus,
    decode_set_rule_request,
    encode_list_workers_response,
    encode_set_rule_response,
)


class Control:
    """Answers operators from the fleet and the table of rings."""

    def __init__(self, fleet: Fleet, table: RingTable) -> None:
        self._fleet = fleet
        self._table = table

    def methods(self) -> dict[str, Callable[[bytes], bytes]]:
        """Return the calls by their name in the service."""
        return {SET_RULE: self.set_rule, LIST_WORKERS: self.list_workers}

    def set_rule(self, request: bytes) -> bytes:
        """Add a rule to the policy."""
        policy, collectors = self._fleet.set_rule(decode_set_rule_request(request))
        return encode_set_rule_response(RuleSet(policy.version, collectors))

    def list_workers(self, _request: bytes) -> bytes:
        """List the rings that the hub knows."""
        return encode_list_workers_response(map(worker_status, self._table.entries()))


def worker_status(entry: RingEntry) -> WorkerStatus:
    """Return what operators are told of a ring."""
    position = entry.position  # read once: last_seq and totals belong together
    return WorkerStatus(
        node=entry.node,
        worker=entry.worker,
        ring_id=entry.ring_id,
        last_seq=position.last_seq,
        totals=position.totals,
        is_closed=entry.closed_reason is not None,
    )
