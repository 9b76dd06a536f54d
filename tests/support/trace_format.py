"""The rules of Chrome's Trace Event Format, as far as we write it.

Viewers are forgiving and leave out what they do not understand; these are the rules
by which nothing is left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Event = dict[str, Any]
_COMMON = {"name": str, "ph": str, "pid": int, "tid": int}
_MORE: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "X": {"ts": float, "dur": float, "cat": str, "args": dict},
    "B": {"ts": float, "cat": str, "args": dict},
    "i": {"ts": float, "cat": str, "args": dict, "s": str},
    "C": {"ts": float, "cat": str, "args": dict},
    "s": {"ts": float, "cat": str, "id": str},
    "f": {"ts": float, "cat": str, "id": str, "bp": str},
    "M": {"args": dict},
}
_ABOUT = {"process_name": "name", "process_labels": "labels", "thread_name": "name"}


def check_trace(document: dict[str, Any]) -> list[Event]:
    """Check a trace; return its events.

    Raises:
        AssertionError: a rule is broken.
    """
    assert document["displayTimeUnit"] == "ns"
    events: list[Event] = document["traceEvents"]
    for event in events:
        _check_fields(event)
    _check_processes(events)
    _check_slices(events)
    _check_arrows(events)
    return events


def of_kind(events: Iterable[Event], kind: str) -> list[Event]:
    """Return the events of a phase."""
    return [event for event in events if event["ph"] == kind]


def _check_fields(event: Event) -> None:
    fields = {**_COMMON, **_MORE[event["ph"]]}
    assert event.keys() == fields.keys(), event
    for key, kind in fields.items():
        assert isinstance(event[key], kind), event
    if event["ph"] == "C":
        assert all(isinstance(v, int | float) for v in event["args"].values())
    if event["ph"] == "M":
        assert event["args"].keys() == {_ABOUT[event["name"]]}
    assert event.get("dur", 0) >= 0
    assert event.get("s", "p") in "pt"


def _check_processes(events: list[Event]) -> None:
    """Each process and each row with slices has a name, before it is used."""
    named: set[tuple[int, int]] = set()
    processes: set[int] = set()
    for event in events:
        if event["name"] == "process_name":
            assert event["pid"] not in processes
            processes.add(event["pid"])
        elif event["name"] == "thread_name":
            named.add((event["pid"], event["tid"]))
        assert event["pid"] in processes
        if event["ph"] in "XB":
            assert (event["pid"], event["tid"]) in named


def _check_slices(events: list[Event]) -> None:
    """Of two slices of one row the one holds the other, or they do not overlap."""
    rows: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        if event["ph"] in "XB":
            rows[event["pid"], event["tid"]].append(_interval(event))
    for slices in rows.values():
        around: list[int] = []
        for start, end in sorted(slices, key=lambda one: (one[0], -one[1])):
            while around and around[-1] <= start:
                around.pop()
            assert not around or end <= around[-1], "slices overlap"
            around.append(end)


def _check_arrows(events: list[Event]) -> None:
    """Each begins in a slice and ends at the start of one, in another process."""
    slices = [event for event in events if event["ph"] in "XB"]
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert starts.keys() == ends.keys()
    for name, start in starts.items():
        assert start["pid"] != ends[name]["pid"]
        assert any(_is_in(start, one) for one in slices)
        assert any(_is_in(ends[name], one, at_start=True) for one in slices)


def _is_in(event: Event, one: Event, *, at_start: bool = False) -> bool:
    start, end = _interval(one)
    is_same_row = (event["pid"], event["tid"]) == (one["pid"], one["tid"])
    moment = _nanoseconds(event["ts"])
    return is_same_row and start <= moment <= (start if at_start else end)


def _interval(event: Event) -> tuple[int, int]:
    start = _nanoseconds(event["ts"])
    length = event.get("dur")
    return start, 1 << 62 if length is None else start + _nanoseconds(length)


def _nanoseconds(microseconds: float) -> int:
    return round(microseconds * 1_000)
