"""The ledger of the fleet to bytes and back, in pages that a message holds.

Rules:
- what a peer sent is either decoded or a RemoteProtocolError, nothing else;
- a sum beyond what a field holds is the largest that it does: only a worker that
  lies can bring it there.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from shmtel.wire.control import HostLedger, LedgerPage, RingLedger, RingSum
from shmtel.wire.fields import (
    parsed,
    put_counters,
    put_host_counters,
    put_plain,
    put_totals,
    take_counters,
    take_host_counters,
    take_totals,
    take_worker,
)
from shmtel.wire.frames import WorkerCounters
from shmtel.wire.pb.shmtel.v1 import control_pb2 as pb

PAGE_BYTES = 1 << 20  # about; grpc refuses four times as much
_ITEM_BYTES = 400  # of a ring or a host, without its texts
_COUNT_BYTES = 24  # of a count, without its reason
_LARGEST = (1 << 64) - 1


def encode_ledger_request() -> bytes:
    """Encode the request for the ledger."""
    return pb.LedgerRequest().SerializeToString()


def judge_ledger_request(data: bytes) -> None:
    """Refuse what is no request for the ledger."""
    parsed(pb.LedgerRequest(), data)


def paged(
    hosts: Iterable[HostLedger], rings: Iterable[RingLedger]
) -> Iterator[LedgerPage]:
    """Put hosts, and then rings, into pages; there is at least one."""
    page_hosts: list[HostLedger] = []
    page_rings: list[RingLedger] = []
    size = 0
    items: Iterable[HostLedger | RingLedger] = chain(hosts, rings)
    for item in items:
        if size > PAGE_BYTES:
            yield LedgerPage(tuple(page_hosts), tuple(page_rings))
            page_hosts, page_rings, size = [], [], 0
        if isinstance(item, HostLedger):
            page_hosts.append(item)
            size += _ITEM_BYTES + _host_text_bytes(item)
        else:
            page_rings.append(item)
            size += _ITEM_BYTES + _ring_text_bytes(item)
    yield LedgerPage(tuple(page_hosts), tuple(page_rings))


def encode_ledger_page(page: LedgerPage) -> bytes:
    """Encode a page."""
    message = pb.LedgerPage()
    for host in page.hosts:
        _put_host(message.hosts.add(), host)
    for ring in page.rings:
        _put_ring(message.rings.add(), ring)
    return message.SerializeToString()


def decode_ledger_page(data: bytes) -> LedgerPage:
    """Decode a page."""
    message = parsed(pb.LedgerPage(), data)
    return LedgerPage(
        tuple(map(_take_host, message.hosts)), tuple(map(_take_ring, message.rings))
    )


def _host_text_bytes(host: HostLedger) -> int:
    counters, dropped = host.counters, host.folded.counters.dropped
    tables = (counters.refused, counters.quarantined, counters.spool_refused, dropped)
    texts = (host.host_id, host.node, host.namespace)
    return 4 * sum(map(len, texts)) + sum(map(_counts_bytes, tables))


def _ring_text_bytes(ring: RingLedger) -> int:
    worker = ring.worker
    texts = (
        *(ring.host_id, ring.closed_reason),
        *(worker.worker_id, worker.pool_name, worker.service),
        *(worker.argv0, worker.python),
    )
    return 4 * sum(map(len, texts)) + _counts_bytes(ring.counters.dropped)


def _counts_bytes(counts: Mapping[str, int]) -> int:
    return sum(_COUNT_BYTES + 4 * len(reason) for reason in counts)


def _put_host(message: pb.HostLedger, host: HostLedger) -> None:
    message.host_id = host.host_id
    message.node = host.node
    message.namespace = host.namespace
    message.connected = host.connected
    message.as_of_ns = host.as_of_ns
    put_host_counters(message.counters, host.counters)
    folded = host.folded
    message.folded.rings = folded.rings
    message.folded.committed = min(folded.committed, _LARGEST)
    put_totals(message.folded.totals, _fitting(folded.totals))
    put_counters(message.folded.counters, _fitting_counters(folded.counters))


def _take_host(message: pb.HostLedger) -> HostLedger:
    folded = message.folded
    return HostLedger(
        host_id=message.host_id,
        node=message.node,
        namespace=message.namespace,
        connected=message.connected,
        as_of_ns=message.as_of_ns,
        counters=take_host_counters(message.counters),
        folded=RingSum(
            folded.rings,
            folded.committed,
            take_totals(folded.totals),
            take_counters(folded.counters),
        ),
    )


def _put_ring(message: pb.RingLedger, ring: RingLedger) -> None:
    message.host_id = ring.host_id
    put_plain(message.worker, ring.worker)
    message.ring_id = ring.ring_id
    message.last_seq = ring.last_seq
    put_totals(message.totals, ring.totals)
    message.sent_seq = ring.sent_seq
    message.spooled_seq = ring.spooled_seq
    put_counters(message.counters, ring.counters)
    message.closed_reason = ring.closed_reason
    message.gone = ring.gone


def _take_ring(message: pb.RingLedger) -> RingLedger:
    return RingLedger(
        host_id=message.host_id,
        worker=take_worker(message.worker),
        ring_id=message.ring_id,
        last_seq=message.last_seq,
        totals=take_totals(message.totals),
        sent_seq=message.sent_seq,
        spooled_seq=message.spooled_seq,
        counters=take_counters(message.counters),
        closed_reason=message.closed_reason,
        gone=message.gone,
    )


def _fitting(totals: Mapping[int, int]) -> dict[int, int]:
    return {outcome: min(events, _LARGEST) for outcome, events in totals.items()}


def _fitting_counters(counters: WorkerCounters) -> WorkerCounters:
    return WorkerCounters(
        min(counters.committed, _LARGEST),
        min(counters.sampled_out, _LARGEST),
        min(counters.filtered, _LARGEST),
        min(counters.disabled, _LARGEST),
        {reason: min(count, _LARGEST) for reason, count in counters.dropped.items()},
    )
