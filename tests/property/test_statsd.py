"""What StatsD servers are told, whatever is lost on the way to them."""

from bisect import bisect_left
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel.hub import measures
from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.spread import spread
from shmtel.hub.bridges.statsd.teller import Teller
from support.measured import Bench

BOUNDS = (1, 10, 100)
values = st.integers(0, 300)
bounds = st.lists(st.floats(-1, 1e6), min_size=1, max_size=8, unique=True).map(sorted)


@given(bounds, st.lists(st.floats(0, 2e6), min_size=1, max_size=30))
def test_values_that_stand_for_buckets(
    edges: list[float], all_values: list[float]
) -> None:
    """Each within its bucket, and together as much as what was measured."""
    counts = [0] * (len(edges) + 1)
    for value in all_values:
        counts[bisect_left(edges, value)] += 1
    found = spread(edges, counts, sum(all_values))
    lows, highs = [0.0, *edges], [*edges, float("inf")]
    for events, low, high, value in zip(counts, lows, highs, found, strict=True):
        if events:
            margin = 1e-9 * max(1.0, abs(value))
            assert low - margin <= value <= high + margin
    total = sum(n * value for n, value in zip(counts, found, strict=True))
    assert total == pytest.approx(sum(all_values), rel=1e-9, abs=1e-6)


def _metrics() -> list[measures.Metric]:
    return [
        measures.counter("calls", "a.b", tags=["tool"]),
        measures.summary("cost", "a.b", "n"),
        measures.distribution("took", "a.b", "n", buckets=BOUNDS, tags=["tool"]),
    ]


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("tu"), values), max_size=4)
        | st.lists(st.booleans(), max_size=6),
        max_size=12,
    ),
    st.sampled_from(["buckets", "distribution"]),
)
def test_sums_of_what_arrives_are_the_counts(
    steps: list[list[tuple[str, int]] | list[bool]], distributions: str
) -> None:
    """Flushes of which any line may be lost, and a last one that is not."""
    bench = Bench(*_metrics())
    ring = bench.ring()
    teller = Teller(StatsdSettings(dialect="dogstatsd", distributions=distributions))  # type: ignore[arg-type]
    teller.begin(bench.measures.read())
    got: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for step in [*steps, [True] * 100]:
        if step and isinstance(step[0], tuple):
            for tool, n in step:  # type: ignore[misc]
                ring.emit({"measurements": {"n": n}, "metadata": {"tool": tool}})
                expected.update(_of_event(tool, n, distributions))
        else:
            _flush(teller, bench, step, got)  # type: ignore[arg-type]
    assert +Counter({k: round(v, 6) for k, v in got.items()}) == +expected


def _of_event(tool: str, n: int, distributions: str) -> Counter[str]:
    found = Counter({f"calls#tool:{tool}": 1, "cost.count": 1, "cost.sum": n})
    if distributions == "distribution":
        return found + Counter({f"took#tool:{tool}": 1, f"took sum#tool:{tool}": n})
    found |= Counter({f"took.count#tool:{tool}": 1, f"took.sum#tool:{tool}": n})
    passed = [bound for bound in BOUNDS if n <= bound]
    return found + Counter(f"took.bucket#tool:{tool},le:{bound}" for bound in passed)


def _flush(
    teller: Teller, bench: Bench, arrives: list[bool], got: Counter[str]
) -> None:
    lines = teller.lines(bench.measures.read())
    arrive = [*arrives, *[False] * len(lines)][: len(lines)]
    for line, is_sent in zip(lines, arrive, strict=True):
        if is_sent:
            line.note()
            told, _, tags = line.text.partition("|#")
            name, _, rest = told.partition(":")
            value, kind, *rate = rest.split("|")
            key = f"#{tags}" if tags else ""
            if kind == "d":
                events = int(1 / float(rate[0][1:])) if rate else 1
                got[f"{name}{key}"] += events
                got[f"{name} sum{key}"] += events * float(value)
            else:
                got[f"{name}{key}"] += float(value)
    teller.keep([li for li, sent in zip(lines, arrive, strict=True) if not sent])
