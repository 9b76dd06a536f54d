"""What workers have evicted, as the ledger shows it."""

import json
import os
import struct
from binascii import crc32
from collections.abc import Callable
from pathlib import Path

import pytest

from shmtel import budget
from shmtel.budget import keep_budget
from shmtel.cli.ledger import format_ledger
from shmtel.evictions import SLOT_BYTES, file_name
from shmtel.segments import Home
from shmtel_collector import ledger as ledger_module
from shmtel_collector.ledger import EVICTED, read_ledger
from support.home import HOME
from support.memory_line import MemoryLine
from support.processes import run_python
from support.ring_builder import RingBuilder
from support.ring_layout import ProducerZone

MakeRing = Callable[..., RingBuilder]


def _dead_ring(make_ring: MakeRing, events: int) -> RingBuilder:
    ring = make_ring()
    ring.add_name("e")
    for _ in range(events):
        ring.append()
    ring.poke(ProducerZone, state=2)
    return ring


def _evict_all(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
        keep_budget(HOME, namespace, lambda name: False)


def test_evicted_events_are_lost_and_accounted_for(
    namespace: str, make_ring: MakeRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand beside rings that are there, by reason, and nothing is missing."""
    for events in (3, 4):
        _dead_ring(make_ring, events).poke(ProducerZone, sampled_out=5)
    _evict_all(namespace, monkeypatch)
    _dead_ring(make_ring, 2)
    ledger = read_ledger(namespace, tmp_path, HOME)
    total = ledger.total
    assert (total.committed, total.in_ring, total.sampled_out) == (9, 2, 10)
    assert total.lost == {"evicted": 7}
    assert total.unaccounted == 0
    evicted, live = ledger.rings
    assert (evicted.state, evicted.worker_id, live.state) == (
        EVICTED,
        "2 rings",
        "live",
    )
    data = json.loads(json.dumps(ledger.to_json()))
    assert data["total"]["lost"] == {"evicted": 7}
    (line,) = [line for line in format_ledger(ledger) if "lost" in line]
    assert line.split() == ["lost", "7", "(evicted", "7)"]


def test_what_was_overwritten_before_is_told_from_what_was_evicted(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flight recorder that nobody read loses its events for two reasons."""
    run_python(
        "import shmtel\nfor i in range(5_000): shmtel.emit('e', {'i': i})",
        namespace,
        SHMTEL_OVERFLOW="overwrite",
        SHMTEL_RING_SIZE="64KiB",
    )
    before = read_ledger(namespace, tmp_path, HOME).total
    assert before.committed == before.in_ring + before.lost["overwritten"] == 5_000
    _evict_all(namespace, monkeypatch)
    total = read_ledger(namespace, tmp_path, HOME).total
    assert total.lost == {**before.lost, "evicted": before.in_ring}
    assert (total.committed, total.in_ring, total.unaccounted) == (5_000, 0, 0)


def test_damaged_account_is_said(namespace: str, tmp_path: Path) -> None:
    """What cannot be read is refused with its reason, and not taken for nothing."""
    path = Path(HOME.path(file_name(namespace, os.geteuid())))
    path.write_bytes(b"garbage" * 4096)
    ledger = read_ledger(namespace, tmp_path, HOME)
    assert list(ledger.refused) == [file_name(namespace, os.geteuid())]


@pytest.mark.parametrize(
    "text",
    [
        '{"total": [], "pending": null}',
        '{"total": {"totals": {"0": Infinity}}, "pending": null}',
        '{"total": {"totals": {"x": 1}}, "pending": null}',
        '{"total": {"rings": {"a": 1}}, "pending": null}',
        '{"total": {"claims": {"dropped": 7}}, "pending": null}',
        '{"total": {"rings": -1}, "pending": null}',
        '{"total": {}, "pending": 5}',
        '{"total": {"last_seq": 1%s}, "pending": null}' % ("0" * 4_299),
        "[" * 8_000,
    ],
)
def test_account_of_another_form_is_damage(
    namespace: str, tmp_path: Path, text: str
) -> None:
    """A checksum that is right makes no account of what is none."""
    body = struct.pack("<IQ", len(text), 1) + text.encode()
    slot = struct.pack("<I", crc32(body)) + body
    path = Path(HOME.path(file_name(namespace, os.geteuid())))
    path.write_bytes(slot.ljust(2 * SLOT_BYTES, b"\0"))
    ledger = read_ledger(namespace, tmp_path, HOME)
    assert list(ledger.refused) == [path.name]
    assert ledger.total.committed == 0


def test_ring_that_goes_meanwhile_is_counted_once(
    namespace: str, make_ring: MakeRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring that is evicted between two looks is in one of them only."""
    _dead_ring(make_ring, 3)
    really_observe = ledger_module._observe
    looks: list[str] = []

    def observe_and_lose(home: Home, name: str) -> object:
        seen = really_observe(home, name)
        if not looks:
            _evict_all(namespace, monkeypatch)
        looks.append(name)
        return seen

    monkeypatch.setattr(ledger_module, "_observe", observe_and_lose)
    total = read_ledger(namespace, tmp_path, HOME).total
    assert (total.committed, total.lost, total.in_ring) == (3, {"evicted": 3}, 0)


def test_collector_does_not_attach_what_has_just_gone(
    namespace: str,
    make_ring: MakeRing,
    line: MemoryLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ring that is evicted between open and lock is not delivered as well."""
    _dead_ring(make_ring, 3)
    really_open = Home.open

    def open_and_lose(home: Home, name: str, *, writable: bool) -> int:
        fd = really_open(home, name, writable=writable)
        with monkeypatch.context() as patch:
            patch.setattr(Home, "open", really_open)
            patch.setattr(Home, "size_bytes", lambda home: budget.SHARE)
            keep_budget(HOME, namespace, lambda name: False)
        return fd

    monkeypatch.setattr(Home, "open", open_and_lose)
    line.connect()
    assert line.hub.rings == {}
    assert line.fleet.rings == {}
    assert read_ledger(namespace, None, HOME).total.lost == {"evicted": 3}
