"""The `Control` service of the hub: what operators' tools call.

Rules:
- bytes in, bytes out; the server maps our errors to its own;
- those who wait leave room for those who only look.
"""

import threading
from collections.abc import Callable, Iterator

from shmtel.errors import ShmtelError
from shmtel.hub.closed_sums import ClosedSums
from shmtel.hub.desired import DesiredState, OnEnd
from shmtel.hub.explain import explained
from shmtel.hub.fleet import Fleet
from shmtel.hub.ledger import Facts, Summary, facts, summary
from shmtel.hub.ring_entry import RingEntry
from shmtel.hub.table import RingTable
from shmtel.policy.rules import PolicyError
from shmtel.wire.control import (
    CHANGE_POLICY,
    EXPLAIN_POLICY,
    GET_POLICY,
    LEDGER,
    LIST_WORKERS,
    Explanation,
    WorkerStatus,
)
from shmtel.wire.control_codec import (
    decode_change_request,
    decode_explain_request,
    encode_change_report,
    encode_explanations,
    encode_list_workers_response,
    encode_policy_report,
)
from shmtel.wire.ledger_codec import encode_ledger_page, judge_ledger_request, paged

WAITING_MAX = 24  # calls that wait at the same time

Method = Callable[[bytes, OnEnd], bytes]
StreamingMethod = Callable[[bytes], Iterator[bytes]]


class Busy(ShmtelError):
    """There is no room for one more call; nothing has changed."""


class Control:
    """Answers operators from the policy, the fleet and the table of rings."""

    def __init__(self, desired: DesiredState, fleet: Fleet, table: RingTable) -> None:
        self._desired = desired
        self._fleet = fleet
        self._table = table
        self._closed = ClosedSums()
        self._room = threading.BoundedSemaphore(WAITING_MAX)

    def methods(self) -> dict[str, Method]:
        """Return the calls by their name in the service."""
        return {
            CHANGE_POLICY: self.change,
            GET_POLICY: self.get_policy,
            EXPLAIN_POLICY: self.explain_policy,
            LIST_WORKERS: self.list_workers,
        }

    def streams(self) -> dict[str, StreamingMethod]:
        """Return the calls that are answered by several messages."""
        return {LEDGER: self.ledger}

    def change(self, data: bytes, on_end: OnEnd) -> bytes:
        """Change the policy."""
        request = decode_change_request(data)
        if request.overlay:
            raise PolicyError(
                0, "a hub has no overlays; ask the collector of the host for one"
            )
        if not request.wait_ms:
            return encode_change_report(self._desired.change(request))
        if not self._room.acquire(blocking=False):
            raise Busy(f"{WAITING_MAX} calls are waiting; try again, or do not wait")
        try:
            return encode_change_report(self._desired.change(request, on_end))
        finally:
            self._room.release()

    def get_policy(self, _data: bytes, _on_end: OnEnd) -> bytes:
        """Return the rules, and what each host has made of them."""
        return encode_policy_report(self._desired.report())

    def explain_policy(self, data: bytes, _on_end: OnEnd) -> bytes:
        """Explain what is in force for workers."""
        return encode_explanations(self.explain(decode_explain_request(data)))

    def explain(self, glob: str) -> list[Explanation]:
        """Explain what is in force for the workers whose ids match.

        Raises:
            PolicyError: too many of them do.
        """
        hosts, entries = self._fleet.hosts(), self._table.entries()
        return explained(self._desired.policy, hosts, entries, glob)

    def ledger(self, data: bytes) -> Iterator[bytes]:
        """Return the ledger, page by page."""
        judge_ledger_request(data)
        known = self.facts()
        return map(encode_ledger_page, paged(known.hosts, known.rings))

    def facts(self) -> Facts:
        """Return what the ledger is made of."""
        return facts(self._table, {host.host_id for host in self._fleet.hosts()})

    def summary(self) -> Summary:
        """Return what metrics are made of."""
        connected = {host.host_id for host in self._fleet.hosts()}
        return summary(self._table, connected, self._closed)

    def list_workers(self, _data: bytes, _on_end: OnEnd) -> bytes:
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
