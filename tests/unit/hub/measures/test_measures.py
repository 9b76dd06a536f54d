"""Series over batches, hubs and the deaths of workers."""

import math
import sys
from fractions import Fraction
from typing import Any

import msgspec
import numpy
import pytest

from shmtel.hub import measures
from shmtel.hub.measures.settlement import IDLE_S, RETIRE_S
from shmtel.safe_text import OTHER
from support.measured import Bench


def event(tool: str = "t", n: float = 1, **fields: Any) -> dict[str, Any]:
    """Return an event."""
    return {"measurements": {"n": n}, "metadata": {"tool": tool}, **fields}


@pytest.mark.parametrize("is_whole", [False, True])
def test_every_kind(is_whole: bool) -> None:
    """Count, sum, last value, summary and buckets of the same events."""
    bench = Bench(
        measures.counter("counter", "a.*", tags=["tool"]),
        measures.sum("sum", "a.b", "n"),
        measures.last_value("last", "a.b", "n"),
        measures.summary("summary", "a.b", "n", tags={"by": "tool"}),
        measures.distribution("distribution", "a.b", "n", buckets=[1, 5]),
    )
    ring = bench.ring("a.b", "b.c")
    events = [event(n=3), event("u", n=1), event(n=7), event(name="b.c", n=100)]
    bench.commit(ring.delta(*events, is_whole=is_whole))
    assert bench.counts("counter") == {("t",): 2, ("u",): 1}
    assert bench.series("sum")[()].total == 11
    assert bench.series("last")[()].last == 7
    by_tool = bench.series("summary").items()
    assert {k: (t.count, t.total) for k, t in by_tool} == {
        ("t",): (2, 10),
        ("u",): (1, 1),
    }
    assert bench.series("distribution")[()].buckets == [1, 1, 1]


@pytest.mark.parametrize("is_whole", [False, True])
def test_what_cannot_be_measured_is_counted(is_whole: bool) -> None:
    """By reason, and the rest of the group is measured all the same."""
    bench = Bench(measures.sum("m", "a.b", "n", drop={"tool": "internal*"}))
    values: list[dict[str, Any]] = [
        *({"n": 1}, {}, {"n": math.nan}, {"n": -math.inf}, {"n": -1}, {"n": 2}),
        {"n": 2**63},
    ]
    events = [{"measurements": one} for one in values]
    hidden = event("internal-x")
    bench.commit(bench.ring().delta(*events, hidden, is_whole=is_whole))
    assert bench.series()[()].total == float(2**63 + 3)
    assert bench.counts() == {(): 3}
    reasons = {"missing": 1, "not_finite": 2, "negative": 1, "filtered": 1}
    assert bench.measures.skipped() == {("m", k): n for k, n in reasons.items()}


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_tag_is_what_a_worker_says(is_whole: bool) -> None:
    """Cut, printable, and empty where there is nothing that could be a label."""
    bench = Bench(measures.counter("m", "a.b", tags=["tool"]))
    tools: list[Any] = ["x" * 200, "a\nb\0", True, 7, 1.5, None, ["l"], {"k": 1}, b"b"]
    events: list[dict[str, Any]] = [{"metadata": {"tool": tool}} for tool in tools]
    bench.commit(bench.ring().delta(*events, {"metadata": None}, is_whole=is_whole))
    labels = ["x" * 128, "a\ufffdb\ufffd", "true", "7", "1.5"]
    assert bench.counts() == {(one,): 1 for one in labels} | {("",): 5}


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("is_turned", [False, True])
def test_values_of_several_kinds_are_told_apart(
    is_whole: bool, is_turned: bool
) -> None:
    """True, 1 and 1.0 are equal to Python, and neither one label nor one condition."""
    bench = Bench(
        measures.counter("by_tag", "a.b", tags=["t"]),
        measures.counter("dropped", "a.b", drop={"t": True}),
    )
    values: list[Any] = [True, 1, 1.0, False, 0, True, "1", None]
    events = [{"metadata": {"t": value}} for value in values]
    if is_turned:
        events.reverse()
    bench.commit(bench.ring().delta(*events, is_whole=is_whole))
    labels = {("true",): 2, ("1",): 2, ("1.0",): 1, ("false",): 1, ("0",): 1, ("",): 1}
    assert bench.counts("by_tag") == labels
    assert bench.counts("dropped") == {(): 6}


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_workers_own_key_of_the_events_name(is_whole: bool) -> None:
    """Is a tag under `user.`, as other keys are that the hub sets."""
    bench = Bench(measures.counter("m", "a.b", tags=["event", "user.event"]))
    events = [{"metadata": {"event": "theirs"}}, {}]
    bench.commit(bench.ring().delta(*events, is_whole=is_whole))
    assert bench.counts() == {("a.b", "theirs"): 1, ("a.b", ""): 1}


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        (numpy.float64(2.5), 2.5),
        (numpy.float32(2.5), 2.5),
        (numpy.int64(7), 7),
        (numpy.uint8(7), 7),
        (True, 1),
        (Fraction(1, 2), 0.5),
    ],
)
@pytest.mark.parametrize("kind", ["sum", "last_value"])
def test_numbers_of_any_kind_are_kept(kind: str, returned: Any, kept: Any) -> None:
    """As one that can be written, and read by the next hub."""
    metric = getattr(measures, kind)("m", "a.b", lambda *_: returned)
    bench = Bench(metric)
    bench.ring().emit(event())
    rows = [msgspec.json.decode(msgspec.json.encode(r)) for r in bench.kept.values()]
    assert len(rows) == 1
    tally = bench.series()[()]
    found = tally.total if kind == "sum" else tally.last
    assert (found, type(found)) == (kept, type(kept))


def test_stamped_keys_are_tags() -> None:
    """Who emitted, and which event; a worker's own key of such a name is another."""
    tags = ["event", "worker_id", "pool_name", "node", "user.node"]
    bench = Bench(measures.counter("m", "*", tags=tags, keep={"pool_name": "p*"}))
    ring = bench.ring("a.b", worker_id="w-7", pool_name="pool")
    ring.emit({"metadata": {"node": "mine", "worker_id": "forged", "event": "x"}})
    ((label, count),) = bench.counts().items()
    assert label == ("a.b", "w-7", "pool", ring.source.node, "mine")
    assert count == 1


def test_functions_see_what_handlers_see() -> None:
    """Stamped metadata; one that raises costs its event, and is counted."""
    bench = Bench(
        measures.sum(
            *("m", "a.b", lambda measured, metadata: measured["n"] * metadata["x"]),
            tags=["who"],
            tag_values=lambda metadata: {"who": metadata["worker_id"][:1]},
            keep=lambda metadata: metadata["tool"] != "exit" or sys.exit(),
            drop=lambda metadata: metadata["tool"] == "hidden",
        )
    )
    good = {"measurements": {"n": 2}, "metadata": {"x": 5, "tool": "t"}}
    bench.ring().emit(good, event("hidden"), event("no x"), event("exit"))
    assert bench.series()[("w",)].total == 10
    assert bench.measures.skipped() == {("m", "filtered"): 1, ("m", "raised"): 2}


def test_sampled_events_stand_for_others() -> None:
    """By the inverse of their probability; whole numbers stay whole without."""
    bench = Bench(
        measures.counter("m", "a.b"),
        measures.distribution("d", "a.b", "n", buckets=[1, 5]),
    )
    ring = bench.ring()
    ring.emit(event(n=3), event(n=3))
    assert repr(bench.counts()[()]) == "2"
    ring.emit(event(n=2, threshold=3 << 30), event(n=9, threshold=1 << 31))
    assert bench.counts() == {(): 2 + 4 + 2}
    tally = bench.series("d")[()]
    assert (tally.buckets, tally.total) == ([0, 6, 2], 6 + 8 + 18)


def test_nothing_is_shown_before_it_is_on_record() -> None:
    """And what was never on record is in no later sum."""
    bench = Bench(measures.counter("m", "a.b"))
    ring = bench.ring()
    bench.measures.settle([ring.delta(event(), event())], ())
    assert bench.counts() == {(): 0}
    bench.measures.publish()
    assert bench.counts() == {(): 2}


def test_the_next_hub_goes_on() -> None:
    """From what was written; what was shown is that."""

    def metrics() -> list[measures.Metric]:
        return [
            measures.distribution("m", "a.b", "n", tags=["tool"], buckets=[1]),
            measures.last_value("last", "a.b", "n"),
        ]

    bench = Bench(*metrics())
    bench.ring().emit(event(n=1), event("u", n=2**40))
    later = Bench(*metrics(), before=bench)
    later.ring().emit(event(n=5))
    tally = later.series()[("t",)]
    assert (tally.count, tally.total, tally.buckets) == (2, 6, [1, 1])
    assert later.series()[("u",)].buckets == [0, 1]
    assert later.series("last")[()].last == 5


def test_what_nobody_claims_is_given_up() -> None:
    """After an hour; so is what was detached, at once."""
    bench = Bench(measures.counter("m", "a.b"), measures.counter("n", "a.b"))
    bench.ring().emit(event())
    assert len(bench.kept) == 2
    later = Bench(measures.counter("m", "a.b"), before=bench)
    later.sweep()
    assert len(later.kept) == 1
    assert later.measures.detach("m")
    assert not later.measures.detach("m")
    later.sweep()
    assert later.kept == {}
    later.measures.attach([measures.counter("m", "a.b")])
    later.ring().emit(event())
    assert later.counts() == {(): 1}


def test_too_many_series_are_counted_together() -> None:
    """Nothing is lost: the rest is one series, and it is said how much it is."""
    bench = Bench(measures.counter("m", "a.b", tags=["tool", "x"], series_max=3))
    ring = bench.ring()
    ring.emit(*(event(f"t{i % 10}") for i in range(50)))
    ring.emit(event("t0"), event("t9"))
    counts = bench.counts()
    assert len(counts) == 4
    assert counts[OTHER, OTHER] == 36
    assert sum(counts.values()) == 52
    assert bench.reading().folded == 36


def test_a_worker_that_is_gone_takes_its_series_along() -> None:
    """A last value at once; a count when everybody has seen its end, and it is kept."""
    bench = Bench(
        measures.counter("m", "a.b", tags=["worker_id"]),
        measures.last_value("last", "a.b", "n", tags=["worker_id"]),
        measures.counter("all", "a.b"),
    )
    ring, other = bench.ring(), bench.ring(worker_id="w-2")
    ring.emit(event())
    other.emit(event())
    ring.close(event(), event())
    assert bench.counts() == {("w-1",): 3, ("w-2",): 1}
    assert set(bench.series("last")) == {("w-2",)}
    bench.now_s += RETIRE_S
    assert bench.counts() == {("w-2",): 1}
    assert bench.reading().retired == 3
    bench.commit()
    assert bench.reading().retired == 3
    assert bench.counts("all") == {(): 4}
    assert len(bench.kept) == 5  # two of the live one, the sum, what two have retired
    later = Bench(measures.counter("m", "a.b", tags=["worker_id"]), before=bench)
    assert later.reading().retired == 3


def test_a_place_outlives_its_workers() -> None:
    """A series by index goes on when the next worker has it before the end."""
    bench = Bench(measures.counter("m", "a.b", tags=["worker_id"]))
    ring, heir = bench.ring(), bench.ring()
    ring.emit(event())
    heir.emit(event())
    ring.close()
    bench.now_s += 2 * RETIRE_S
    assert bench.counts() == {("w-1",): 2}
    heir.close()
    bench.now_s += 2 * RETIRE_S
    heir = bench.ring()
    heir.emit(event())
    assert bench.counts() == {("w-1",): 1}


def test_what_is_told_of_a_subject_ends_with_it() -> None:
    """Also when the collector's last word of it comes after its end."""
    bench = Bench(measures.last_value("m", "a.b", "n", tags={"worker": "subject"}))
    collector, subject = bench.ring(), bench.ring(worker_id="w-2")
    told = {"measurements": {"n": 5}}
    metadata = {"subject": "w-2", "subject_ring": subject.id}
    collector.emit(told | {"metadata": metadata})
    assert set(bench.series()) == {("w-2",)}
    subject.close()
    assert bench.series() == {}
    collector.emit(told | {"metadata": metadata})
    assert bench.series() == {}
    assert bench.measures.skipped() == {("m", "ended"): 1}
    collector.emit(told | {"metadata": {"subject": "w-3", "subject_ring": "no hex"}})
    assert set(bench.series()) == {("w-3",)}


def test_workers_that_end_while_no_hub_is_there() -> None:
    """Their series end with the next one; of whom nobody tells, after an hour."""

    def metrics() -> list[measures.Metric]:
        return [
            measures.counter("m", "a.b", tags=["worker_id"]),
            measures.last_value("last", "a.b", "n", tags=["worker_id"]),
        ]

    bench = Bench(*metrics())
    closed, unheard = bench.ring(), bench.ring(worker_id="w-2")
    for ring in (closed, unheard):
        ring.emit(event())
    closed.entry.closed_reason = "vanished"  # by the table of the next hub
    unheard.entry.streams = 0
    later = Bench(*metrics(), before=bench)
    assert set(later.series("last")) == {("w-2",)}
    later.now_s += RETIRE_S
    assert later.counts() == {("w-2",): 1}
    later.now_s += IDLE_S
    later.sweep()
    later.now_s += RETIRE_S
    assert later.counts() == {}
    assert later.reading().retired == 2


def test_a_last_value_that_is_not_renewed_goes() -> None:
    """When it is said after how long."""
    bench = Bench(measures.last_value("m", "a.b", "n", tags=["tool"], expiry_s=10))
    ring = bench.ring()
    ring.emit(event())
    bench.now_s += 9
    ring.emit(event("u"))
    bench.now_s += 1
    assert set(bench.series()) == {("u",)}
    bench.commit()
    assert len(bench.kept) == 2  # and what was retired


def test_ten_thousand_workers_leave_nothing_behind() -> None:
    """What is read, and what is kept, is as much as after the first."""
    bench = Bench(
        measures.counter("m", "a.b", tags=["worker_id"]),
        measures.last_value("last", "a.b", "n", tags=["worker_id"]),
        measures.counter("all", "a.b"),
    )
    for number in range(10_000):
        ring = bench.ring(worker_id=f"w-{number}")
        ring.emit(event())
        ring.close()
        bench.now_s += 1
    bench.now_s += RETIRE_S
    bench.commit()
    assert [len(r.series) for r in bench.measures.read()] == [0, 0, 1]
    assert bench.reading().retired == 10_000
    assert bench.counts("all") == {(): 10_000}
    assert len(bench.kept) == 3
    standing = bench.measures._standing
    assert (standing.by_ring, standing.mortal) == ({}, set())
