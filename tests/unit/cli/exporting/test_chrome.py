"""Events as a trace that viewers read."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtel.cli.exporting import arrows, chrome
from shmtel.cli.exporting.chrome import ChromeTrace, midnight_before
from shmtel.hub.files.line import Line
from support.trace_format import Event, check_trace, of_kind

NOON_NS = 1_700_006_400 * 10**9  # a midnight, plus some
START_NS = NOON_NS + 123_456_789


def line(event: str, at_ns: int = 0, **fields: Any) -> Line:
    """Return an event, so long after the start."""
    values: dict[str, Any] = {
        **{"measurements": {}, "metadata": {}, "correlation_id": None},
        **{"ring_id": "r", "seq": 1, "span_id": None, "parent_id": None},
        **{"sampling_probability": 1.0, "node": "n", "worker_id": "w", "pid": 7},
    }
    return Line(event=event, timestamp_ns=START_NS + at_ns, **{**values, **fields})


def traced(lines: Iterable[Line]) -> tuple[list[Event], dict[str, int]]:
    """Return a trace as a viewer parses it, checked, and what was counted."""
    lines = list(lines)
    trace = ChromeTrace(midnight_before(lines[0]))
    events = [event for each in lines for event in trace.add(each)]
    events += trace.finish()
    document = {"displayTimeUnit": "ns", "traceEvents": events}
    return check_trace(json.loads(msgspec.json.encode(document))), trace.counts


def span(name: str, span_id: str, start: int, end: int, **fields: Any) -> list[Line]:
    """Return start and stop of a span."""
    return [
        line(f"{name}.start", start, span_id=span_id, **fields),
        line(f"{name}.stop", end, span_id=span_id, **fields),
    ]


def test_a_duration_that_no_clock_could_tell() -> None:
    """A file may say anything; it is drawn, as far as a number goes."""
    duration = {"duration": 10**400}
    stopped = line("tool.run.stop", 5, span_id="a", measurements=duration)
    events, _ = traced([stopped])
    assert len(of_kind(events, "X")) == 1


def test_a_span() -> None:
    """One slice, to the nanosecond, with what both of its events have said."""
    started = line("tool.run.start", 0, span_id="a", metadata={"tool": "x"})
    stopped = line(
        *("tool.run.stop", 1_001),
        **{"span_id": "a", "measurements": {"bytes": 5}, "metadata": {"model": "m"}},
        **{"correlation_id": "c", "sampling_probability": 0.5},
    )
    events, counts = traced([started, stopped])
    (slice_,) = of_kind(events, "X")
    since_ns = START_NS - midnight_before(started)
    assert since_ns < 2 * 86_400 * 10**9
    assert round(slice_.pop("ts") * 1_000) == since_ns
    assert slice_ == {
        **{"name": "tool.run", "cat": "tool", "ph": "X", "pid": 7, "tid": 1},
        "dur": 1.001,
        "args": {
            "measurements": {"bytes": 5},
            "metadata": {"tool": "x", "model": "m"},
            **{"correlation_id": "c", "span_id": "a", "sampling_probability": 0.5},
        },
    }
    assert [e["args"] for e in of_kind(events, "M")] == [
        *({"name": "w (n)"}, {"name": "spans 1"})
    ]
    assert counts == {"spans": 1, "arrows left out": 0}


def test_spans_in_spans_and_beside_them() -> None:
    """Children lie in the lane of their parent, what runs beside it in another."""
    a, b, c, d = (
        span("a", "a", 0, 100),
        span("b", "b", 10, 30, parent_id="a"),
        span("c", "c", 20, 110, parent_id="a"),  # beside b, and outlives a
        span("d", "d", 120, 130),
    )
    lines = [a[0], b[0], c[0], b[1], a[1], c[1], *d]
    events, _ = traced(lines)
    rows = {e["name"]: e["tid"] for e in of_kind(events, "X")}
    assert rows == {"a": 1, "b": 1, "c": 2, "d": 1}


def test_a_span_that_outlives_its_parent() -> None:
    """It moves to another lane before it is drawn."""
    a, b = span("a", "a", 0, 100), span("b", "b", 10, 200, parent_id="a")
    events, _ = traced([a[0], b[0], a[1], b[1]])
    assert {e["name"]: e["tid"] for e in of_kind(events, "X")} == {"a": 1, "b": 2}


def test_spans_without_an_end_or_a_beginning() -> None:
    """The one is begun, the other as long as its duration says."""
    lost = line("b.exception", 500, span_id="b", measurements={"duration": 400})
    events, counts = traced([line("a.start", 0, span_id="a"), lost])
    (begun,) = of_kind(events, "B")
    (slice_,) = of_kind(events, "X")
    assert (begun["name"], begun["tid"]) == ("a", 1)
    assert (slice_["name"], slice_["tid"], slice_["dur"]) == ("b", 2, 0.4)
    assert slice_["cat"] == "b,exception"
    assert (counts["spans without an end"], counts["exceptions"]) == (1, 1)


def test_open_spans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is given up; a late end of it is a span of its own."""
    monkeypatch.setattr(chrome, "OPEN_MAX", 1)
    a, b = span("a", "a", 0, 100), span("b", "b", 10, 30, parent_id="a")
    events, counts = traced([a[0], b[0], b[1], a[1]])
    assert [e["name"] for e in of_kind(events, "B")] == ["a"]
    assert {e["name"] for e in of_kind(events, "X")} == {"a", "b"}
    assert counts["spans without an end"] == 1


def test_instants_and_counters() -> None:
    """A plain event is in the lane of its span; samples are at their subject."""
    about = {"subject": "w", "subject_pid": 7, "subject_pool": "p"}
    lines = [
        line("a.start", 0, span_id="a"),
        line("note", 5, parent_id="a", metadata={"k": "v"}),
        line("note", 6),
        line(
            *("python.memory.sampled", 7),
            **{"worker_id": "collector", "pid": 9, "metadata": about},
            measurements={"rss": 100, "uss": 50, "nothing": None},
        ),
    ]
    events, counts = traced(lines)
    assert [(e["tid"], e["s"]) for e in of_kind(events, "i")] == [(1, "t"), (1, "p")]
    assert [(e["pid"], e["name"], e["args"]) for e in of_kind(events, "C")] == [
        (7, "python.memory.sampled rss", {"rss": 100}),
        (7, "python.memory.sampled uss", {"uss": 50}),
    ]
    assert (counts["instants"], counts["counters"]) == (2, 1)


@pytest.mark.parametrize("is_child_first", [False, True])
def test_an_arrow_between_processes(is_child_first: bool) -> None:
    """From the slice of the parent to that of the child, whoever was told first."""
    parent = span("a", "a", 100, 900)
    child = span("b", "b", 50, 950, parent_id="a", node="other", ring_id="s")
    lines = [*child, *parent] if is_child_first else [*parent, *child]
    events, counts = traced(lines)
    (start,), (end,) = of_kind(events, "s"), of_kind(events, "f")
    assert counts["arrows"] == 1
    slices = {event["name"]: event for event in of_kind(events, "X")}
    assert start["ts"] == slices["a"]["ts"]  # clocks differ: it is kept in its slice
    assert end["ts"] == slices["b"]["ts"]
    assert slices["b"]["pid"] != slices["a"]["pid"]  # both say 7


def test_arrows_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had to be forgotten is counted."""
    monkeypatch.setattr(arrows, "KNOWN_MAX", 1)
    children = [span(f"c{n}", f"c{n}", n, n + 1, parent_id=f"p{n}") for n in (1, 2)]
    _, counts = traced(each for child in children for each in child)
    assert counts["arrows left out"] == 1


_TIMES = st.integers(0, 40)
_EVENTS = st.tuples(
    st.sampled_from(["s.start", "s.stop", "s.exception", "note", "x.sampled"]),
    _TIMES,
    st.sampled_from([None, "a", "b", "c", "d"]),
    st.sampled_from([None, "a", "b", "c", "d"]),
    st.sampled_from([7, 8]),
    st.one_of(_TIMES, st.none()),
)


@given(st.lists(_EVENTS, min_size=1, max_size=30))
def test_whatever_comes_is_a_trace(drawn: list[tuple[Any, ...]]) -> None:
    """In any order, with clocks that step back and ids that lie, slices nest."""
    lines = [
        line(
            *(name, at),
            **{"span_id": span_id, "parent_id": parent_id, "pid": pid},
            measurements={"duration": duration},
        )
        for name, at, span_id, parent_id, pid, duration in drawn
    ]
    traced(lines)
