"""The ledger of the fleet on its way to who asked."""

import pytest

from shmtel.wire.control import HostLedger, LedgerPage, RingLedger, RingSum
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import HostCounters, Worker, WorkerCounters
from shmtel.wire.ledger_codec import (
    decode_ledger_page,
    encode_ledger_page,
    encode_ledger_request,
    judge_ledger_request,
    paged,
)
from shmtel.wire.limits import COUNTED_MAX, COUNTED_NAME_MAX
from support.frames import WORKER

MESSAGE_BYTES_MAX = 4 << 20  # what grpc takes unless told otherwise
COUNTERS = WorkerCounters(7, 1, 2, 3, {"ring_full": 4})
HOST = HostLedger(
    "h",
    "node",
    "ns",
    True,
    5,
    HostCounters({"link": 1}, {"names": 2}, 3, {19: 4}, 5, 6, {"full": 7}),
    RingSum(8, 9, {0: 9}, COUNTERS),
)
RING = RingLedger("h", WORKER, b"r" * 16, 7, {0: 7}, 8, 9, COUNTERS, "closed", True)


def test_a_page_comes_back() -> None:
    """What the hub encodes, the tool decodes."""
    page = LedgerPage((HOST,), (RING,))
    assert decode_ledger_page(encode_ledger_page(page)) == page


def test_what_is_no_request_is_refused() -> None:
    """Bytes that are no message are the peer's fault."""
    judge_ledger_request(encode_ledger_request())
    with pytest.raises(RemoteProtocolError):
        judge_ledger_request(b"\xff")
    with pytest.raises(RemoteProtocolError):
        decode_ledger_page(b"\xff")


def test_pages_fit_a_message() -> None:
    """However much workers say of themselves, each page can be sent, in order."""
    worker = Worker(*["\U0010ffff" * 1_600] * 3, argv0="\U0010ffff" * 1_600)
    rings = [RingLedger("h", worker, bytes([n]) * 16, n, {0: n}) for n in range(200)]
    pages = list(paged([HOST] * 3, rings))
    assert len(pages) > 1
    assert [host for page in pages for host in page.hosts] == [HOST] * 3
    assert [ring for page in pages for ring in page.rings] == rings
    assert max(len(encode_ledger_page(page)) for page in pages) < MESSAGE_BYTES_MAX


def test_pages_of_counts_fit_a_message() -> None:
    """However many reasons a collector counts under, as far as the limits allow."""
    reasons = {chr(0x10FFFF - n) * COUNTED_NAME_MAX: n for n in range(COUNTED_MAX)}
    counters, of_host = WorkerCounters(dropped=reasons), HostCounters(*[reasons] * 2)
    folded = RingSum(1, 1, {}, counters)
    hosts = [HostLedger("h", "n", counters=of_host, folded=folded)] * 200
    rings = [RingLedger("h", WORKER, b"r" * 16, 0, {}, 0, 0, counters)] * 500
    pages = list(paged(hosts, rings))
    assert max(len(encode_ledger_page(page)) for page in pages) < MESSAGE_BYTES_MAX


def test_an_empty_ledger_is_one_page() -> None:
    """A hub without hosts answers, too."""
    assert list(paged([], [])) == [LedgerPage()]


def test_a_lie_beyond_all_fields_is_cut() -> None:
    """Sums of what workers claim can outgrow a field; the rest must still arrive."""
    huge = WorkerCounters(1 << 70, 1 << 70, 1 << 70, 1 << 70, {"invalid": 1 << 70})
    host = HostLedger("h", "n", folded=RingSum(1, 1 << 70, {0: 1 << 70}, huge))
    (decoded,) = decode_ledger_page(encode_ledger_page(LedgerPage((host,)))).hosts
    largest = (1 << 64) - 1
    assert decoded.folded.committed == largest
    assert decoded.folded.counters.dropped == {"invalid": largest}
