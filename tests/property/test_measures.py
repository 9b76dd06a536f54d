"""Metrics against a model that knows one event at a time."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel.hub import measures
from support.measured import Bench

BOUNDS = (1.0, 2.5, 40.0)
# Rates of which sums are exact in floats, and one that is none.
THRESHOLDS = (0, 1 << 31, 3 << 30)
events = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a.b", "a.c", "x"]),
        "threshold": st.sampled_from([0, 0, 0, *THRESHOLDS]),
        "correlation_id": st.none() | st.text(max_size=8),
        "measurements": st.dictionaries(
            st.sampled_from(["n", "k"]),
            st.integers(0, 2**63 - 1) | st.floats(0, 1e6),
        ),
        "metadata": st.none()
        | st.dictionaries(
            st.sampled_from(["t", "u", "noise"]),
            st.sampled_from(["one", "two", "3", 3, ["list"]]),
        ),
    }
)


def model(all_events: list[dict[str, Any]]) -> dict[tuple[str, ...], list[Fraction]]:
    """Return count, sum and buckets of `n` by `t`, with weights as fractions."""
    found: dict[tuple[str, ...], list[Fraction]] = {}
    for event in all_events:
        value = event["measurements"].get("n")
        if value is None or not event["name"].startswith("a."):
            continue
        tag = (event["metadata"] or {}).get("t", "")
        tag = "" if isinstance(tag, list) else str(tag)
        weight = 1 / (1 - Fraction(event["threshold"], 1 << 32))
        row = found.setdefault((tag,), [Fraction(0)] * (3 + len(BOUNDS)))
        at = sum(value > bound for bound in BOUNDS)
        row[0] += weight
        row[1] += weight * Fraction(value)
        row[2 + at] += weight
    return found


@settings(deadline=None)
@given(
    st.lists(st.lists(st.lists(events, max_size=12), max_size=3), max_size=4),
    st.booleans(),
)
def test_batches_add_up_as_single_events_do(
    groups: list[list[list[dict[str, Any]]]], is_whole: bool
) -> None:
    """However events fall into segments, batches and hubs; and exactly, where nothing
    was sampled and numbers are whole."""

    def metric() -> measures.Metric:
        return measures.distribution("m", "a.*", "n", tags=["t"], buckets=BOUNDS)

    bench = Bench(metric())
    for group in groups:
        ring = bench.ring("a.b", "a.c", "x")
        bench.commit(*(ring.delta(*part, is_whole=is_whole) for part in group if part))
        bench = Bench(metric(), before=bench)
    flat = [event for group in groups for part in group for event in part]
    expected = model(flat)
    assert set(bench.series()) == set(expected)
    is_exact = not any(event["threshold"] for event in flat)
    for labels, (count, total, *buckets) in expected.items():
        tally = bench.series()[labels]
        assert [tally.count, *tally.buckets] == [count, *buckets]
        assert tally.total == pytest.approx(float(total), rel=1e-9)
        if is_exact and isinstance(tally.total, int):
            assert tally.total == total < math.inf
