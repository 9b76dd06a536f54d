"""The `Control` service of the hub: what operators' tools call.

Rules:
- bytes in, bytes out; the server maps our errors to its own.
"""

from collections.abc import Callable

from shmtel.hub.fleet import Fleet
from shmtel.hub.table import RingEntry, RingTable
from shmtel.policy.rules import PolicyError
from shmtel.wire.control import (
    CHANGE_POLICY,
    LIST_WORKERS,
    ChangeReport,
    SetRule,
    WorkerStatus,
)
from shmtel.wire.control_codec import (
    decode_change_request,
    encode_change_report,
    encode_list_workers_response,
)


class Control:
    """Answers operators from the fleet and the table of rings."""

    def __init__(self, fleet: Fleet, table: RingTable) -> None:
        self._fleet = fleet
        self._table = table

    def methods(self) -> dict[str, Callable[[bytes], bytes]]:
        """Return the calls by their name in the service."""
        return {CHANGE_POLICY: self.change, LIST_WORKERS: self.list_workers}

    def change(self, request: bytes) -> bytes:
        """Change the policy."""
        change = decode_change_request(request).change
        if not isinstance(change, SetRule):
            raise PolicyError(0, "only single rules can be set")
        policy, _told = self._fleet.set_rule(change.rule)
        return encode_change_report(ChangeReport(policy.origin, policy.version))

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
