"""What Prometheus is told, and what pushing bridges send."""

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from shmtel.endpoints.exposition import Samples, exposition
from shmtel.hub import measures
from shmtel.hub.bridges.base import increments
from shmtel.hub.bridges.prometheus import PrometheusBridge
from shmtel.hub.metrics import FAMILIES
from shmtel.hub.sink_metrics import add_measures
from support.http import by_label, samples, total
from support.measured import Bench

TRACE = "0af7651916cd43dd8448eb211c80319c"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def event(n: float, tool: str = "t", **fields: Any) -> dict[str, Any]:
    """Return an event."""
    return {"measurements": {"n": n}, "metadata": {"tool": tool}, **fields}


@pytest.fixture
def bench() -> Bench:
    """Return a metric of each kind, of a few events."""
    bench = Bench(
        measures.counter("calls", "a.b", tags=["tool"], series_max=2),
        measures.counter("none", "x"),
        measures.sum("sent", "a.b", "n", unit="ns->ms"),
        measures.last_value("now", "a.b", "n", tags={"my.tool": "tool"}),
        measures.summary("cost", "a.b", "n", unit="ns->s"),
        measures.distribution("took", "a.b", "n", unit="ns->s", buckets=[0.1, 1]),
    )
    bench.ring().emit(
        event(50_000_000, correlation_id="order\n-" + "7" * 120),
        event(2_000_000_000, 'say "hi"\\', correlation_id=TRACE),
        event(100_000_000),
        {"metadata": {"tool": "third"}},
    )
    return bench


def told(bench: Bench, accept: str = "") -> str:
    """Return a scrape."""
    found = Samples(FAMILIES)
    add_measures(found, bench.measures.read(), bench.measures.skipped())
    bridge = PrometheusBridge(bench.measures)
    return exposition(FAMILIES, found, accept, [bridge])[0].decode()


def test_each_kind_in_its_words(bench: Bench) -> None:
    """In the unit that was asked for, by label, and with 0 where nothing was."""
    values = samples(told(bench))
    assert by_label(values, "calls_total", "tool") == {
        **{"t": 2, 'say "hi"\\': 1, "(other)": 1},
    }
    assert total(values, "none_total") == 0
    assert total(values, "sent_milliseconds_total") == 2150
    assert by_label(values, "now", "my_tool") == {"t": 1e8, 'say "hi"\\': 2e9}
    assert total(values, "cost_seconds_sum") == 2.15
    assert total(values, "cost_seconds_count") == 3
    assert total(values, "took_seconds_bucket", le="0.1") == 2
    assert total(values, "took_seconds_bucket", le="1.0") == 2
    assert total(values, "took_seconds_bucket", le="+Inf") == 3
    assert total(values, "took_seconds_sum") == 2.15


def test_the_hub_tells_of_its_metrics(bench: Bench) -> None:
    """How many series, what found no room, and what is in none."""
    values = samples(told(bench))
    series = by_label(values, "shmtel_hub_metric_series", "metric")
    assert series == {
        **{"calls": 3, "none": 1, "sent": 1, "now": 2, "cost": 1, "took": 1}
    }
    folded = by_label(values, "shmtel_hub_metric_events_folded_total", "metric")
    assert folded == {"calls": 1}
    name = "shmtel_hub_metric_events_skipped_total"
    assert total(values, name, metric="took", reason="missing") == 1


def test_exemplars_lead_to_traces(bench: Bench) -> None:
    """In OpenMetrics alone: the slowest of a group, by trace ID where it is one."""
    families = {
        f.name: f for f in text_string_to_metric_families(told(bench, OPENMETRICS))
    }
    buckets = [s for s in families["took_seconds"].samples if s.exemplar]
    (slowest,) = buckets
    assert slowest.labels["le"] == "+Inf"
    assert slowest.exemplar.labels == {"trace_id": TRACE}
    assert slowest.exemplar.value == 2
    assert int(float(slowest.exemplar.timestamp)) == 1_700_000_000
    by_tool = {s.labels["tool"]: s.exemplar for s in families["calls"].samples}
    assert by_tool['say "hi"\\'].labels == {"trace_id": TRACE}
    assert TRACE not in told(bench)


def test_a_correlation_id_is_no_danger() -> None:
    """One that is no trace ID is told as what it is, cut and printable."""
    bench = Bench(measures.counter("m", "a.b"))
    bench.ring().emit(event(1, correlation_id="order\n" + "7" * 120))
    families = {
        f.name: f for f in text_string_to_metric_families(told(bench, OPENMETRICS))
    }
    (sample,) = families["m"].samples
    assert sample.exemplar.labels == {"correlation_id": "order\ufffd" + "7" * 94}


def test_what_was_added_between_two_readings() -> None:
    """Of a series that began anew, all; of one that rests, nothing."""
    bench = Bench(
        measures.distribution("d", "a.b", "n", tags=["tool"], buckets=[1]),
        measures.last_value("m", "a.b", "n"),
    )
    ring = bench.ring()
    ring.emit(event(1), event(5), event(2, "rests"))
    before = bench.measures.read()
    ring.emit(event(7), event(3, "new"))
    (_, added), (_, last) = increments(before, bench.measures.read())
    assert set(added) == {("t",), ("new",)}
    assert (added["t",].count, added["t",].total, added["t",].buckets) == (1, 7, [0, 1])
    assert added["new",].buckets == [0, 1]
    assert last[()].last == 3
    fresh = Bench(measures.distribution("d", "a.b", "n", tags=["tool"], buckets=[1]))
    fresh.ring().emit(event(9))
    ((_, anew),) = increments(before, fresh.measures.read())
    assert anew["t",].total == 9
