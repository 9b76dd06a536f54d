"""The catalog in the collector: outcomes, counts, and what is compiled."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shmtel import catalog
from shmtel.wire.frames import Outcome
from shmtel_collector import validation as validation_module
from shmtel_collector.stripped import EVENTS_MAX, TOLD_MAX, Stripped
from support.memory_line import MemoryLine
from support.quiet_log import QuietLog
from support.ring_builder import RingBuilder

MakeRing = Callable[..., RingBuilder]
STOP = "tool.execution.stop"
KNOWN, ALIEN = {"bytes": 1}, {"bytes": 1, "moons": 2, "suns": 3}
USER = """
[limits]
string_bytes = 100
[[modes]]
pattern = "shop.*"
mode = "reject"
[events."shop.sold"]
measurements = { total = "EUR" }
metadata = ["country"]
"""


@pytest.fixture
def line(namespace: str, tmp_path: Path) -> Iterator[MemoryLine]:
    """A collector with a spool and a catalog of its user, not yet connected."""
    path = tmp_path / "shop.toml"
    path.write_text(USER)
    line = MemoryLine(namespace, tmp_path / "state", 64 << 20)
    line.catalog = catalog.load([path])
    line.crash()
    yield line
    line.close()


@pytest.fixture
def ring(make_ring: MakeRing) -> RingBuilder:
    """The ring of a live worker, empty."""
    ring = make_ring()
    ring.hold_lock()
    return ring


def _totals(line: MemoryLine, ring: RingBuilder) -> dict[int, int]:
    return dict(line.hub.rings[ring.ring_id].position.totals)


def test_each_outcome_counts_once(line: MemoryLine, ring: RingBuilder) -> None:
    """Known, stripped, passed and rejected: at the hub, and by event and reason."""
    stop, sold, gone, free, made_up = (
        ring.add_name(name)
        for name in (STOP, "shop.sold", "shop.gone", "my.own", "tool.made_up")
    )
    ring.append(stop, None, KNOWN)
    ring.append(stop, None, ALIEN)
    ring.append(sold, None, {"total": 1}, {"country": "CH"})
    ring.append(sold, None, {"total": 1}, {"town": "Bern"})
    ring.append(gone, None, {"n": 1})
    ring.append(free, None, ALIEN, {"any": "thing"})
    ring.append(free, None, {}, {"any": "x" * 101})
    ring.append(made_up, None, {"n": 1}, {"m": 1})
    line.connect()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 5,
        Outcome.REJECTED_UNKNOWN_EVENT: 1,
        Outcome.REJECTED_UNKNOWN_KEY: 1,
        Outcome.REJECTED_OVER_LIMIT: 1,
    }
    stripped = line.validation.stripped
    unknown = {(STOP, "unknown_key"): 1, ("tool.made_up", "unknown_event"): 1}
    assert stripped.events == unknown
    assert stripped.keys == dict.fromkeys(unknown, 2)
    assert sum("come with keys" in text for text in line.log.lines) == 2


def test_a_broken_stream_counts_nothing_twice(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """Drained again, or found at the hub after all, each event counts once."""
    stop = ring.add_name(STOP)
    stripped = line.validation.stripped
    ring.append(stop, None, ALIEN)
    line.hub.is_holding = True
    line.connect()
    assert stripped.events == {}  # what is not settled does not count
    line.cut()
    line.hub.is_holding = False
    line.connect()
    assert stripped.events == {(STOP, "unknown_key"): 1}
    ring.append(stop, None, ALIEN)
    line.send_unanswered()  # the hub has it, and its ack is lost
    assert stripped.events == {(STOP, "unknown_key"): 1}
    line.connect()
    assert stripped.events == {(STOP, "unknown_key"): 2}
    assert _totals(line, ring) == {Outcome.DELIVERED: 2}


def test_what_goes_through_the_spool_counts_once(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """When it is safe on disk, and not again when it is delivered from there."""
    stop = ring.add_name(STOP)
    while ring.tail < ring.capacity * 0.7:
        ring.append(stop, None, ALIEN)
    count = {(STOP, "unknown_key"): ring.seq}
    for _ in range(5):
        line.step(1_000_000_000)
    assert line.spool.used_bytes > 0
    line.connect()
    for _ in range(5):
        line.step(1_000_000_000)
    assert _totals(line, ring) == {Outcome.DELIVERED: ring.seq}
    assert line.validation.stripped.events == count


def test_a_name_that_comes_late_has_its_shape(
    line: MemoryLine, ring: RingBuilder
) -> None:
    """Before the first event of it is drained."""
    ring.append(ring.add_name(STOP), None, KNOWN)
    line.connect()
    ring.append(ring.add_name("shop.late"), None, {"n": 1})
    line.step()
    assert _totals(line, ring)[Outcome.REJECTED_UNKNOWN_EVENT] == 1


def test_rings_share_what_is_compiled(
    line: MemoryLine, make_ring: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once per event of the catalog, and nothing per name that a worker makes up."""
    compiled: list[object] = []
    make = validation_module._ring.Shape

    def counting(*arguments: object, **keywords: object) -> object:
        compiled.append(arguments)
        return make(*arguments, **keywords)  # type: ignore[arg-type]

    class Core:
        MODE_PASS, MODE_STRIP, MODE_REJECT = 0, 1, 2
        Shape = staticmethod(counting)

    monkeypatch.setattr(validation_module, "_ring", Core)
    for number in range(5):
        ring = make_ring()
        ring.hold_lock()
        for name in (STOP, "shop.sold", f"shop.{number}", f"tool.{number}", "my.own"):
            ring.append(ring.add_name(name), None, {})
    line.connect()
    assert len(line.fleet.rings) == 5
    assert len(compiled) == 2


def test_a_ring_of_the_collector_passes(line: MemoryLine, ring: RingBuilder) -> None:
    """Whatever a user says of names; the limits hold from its first event on."""
    line.state.policies.note_own_ring(ring.ring_id)
    line.connect()
    ring.append(ring.add_name("shop.sold"), None, ALIEN, {"any": "thing"})
    ring.append(ring.add_name("policy.applied"), None, ALIEN)
    ring.append(1, None, {}, {"any": "x" * 101})
    line.step()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 2,
        Outcome.REJECTED_OVER_LIMIT: 1,
    }


def test_a_name_beyond_the_limit_is_rejected(
    line: MemoryLine, ring: RingBuilder, tmp_path: Path
) -> None:
    """No catalog can name it, whatever its namespace."""
    path = tmp_path / "names.toml"
    path.write_text("[limits]\nname_bytes = 30\n")
    line.catalog = catalog.load([path])
    line.crash()
    for name in ("my." + "o" * 27, "my." + "o" * 28, "my." + "ö" * 14):
        ring.append(ring.add_name(name), None, {})
    line.connect()
    assert _totals(line, ring) == {
        Outcome.DELIVERED: 1,
        Outcome.REJECTED_UNKNOWN_EVENT: 2,
    }


def test_events_told_apart_are_bounded() -> None:
    """Beyond the bound they count together, and the log ends long before."""
    log = QuietLog()
    stripped = Stripped(log)
    for number in range(EVENTS_MAX + 10):
        stripped.add([f"tool.{number}"], (0, "unknown_event", 1, 3))
    assert len(stripped.events) == EVENTS_MAX + 1
    assert stripped.events["(other)", "unknown_event"] == 10
    assert stripped.keys["(other)", "unknown_event"] == 30
    assert len(log.lines) == TOLD_MAX
