"""What readings come to in lines, and what is told again."""

from typing import Any

import pytest

from shmtel.hub import measures
from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.teller import Teller
from support.measured import Bench

METRICS = (
    measures.counter("calls", "a.b", tags=["tool"]),
    measures.sum("sent", "a.b", "n", unit="ns->us"),
    measures.last_value("now", "a.b", "n"),
    measures.summary("cost", "a.b", "n", unit="ns->us"),
    measures.distribution("took", "a.b", "n", unit="ns->us", buckets=[0.1, 1]),
)


def event(n: float, tool: str = "t", **fields: Any) -> dict[str, Any]:
    """Return an event."""
    return {"measurements": {"n": n}, "metadata": {"tool": tool}, **fields}


def told(teller: Teller, bench: Bench, *, is_sent: bool = True) -> list[str]:
    """Return the lines of a flush."""
    lines = teller.lines(bench.measures.read())
    if is_sent:
        for line in lines:
            line.note()
    teller.keep([] if is_sent else lines)
    return sorted(line.text for line in lines)


def begun(bench: Bench, **options: Any) -> Teller:
    """Return one that begins now."""
    teller = Teller(StatsdSettings(**options))
    teller.begin(bench.measures.read())
    return teller


def test_each_kind_as_etsy_s_server_has_it() -> None:
    """In the unit that was asked for; and only what was added, but for gauges."""
    bench = Bench(*METRICS)
    ring = bench.ring()
    ring.emit(event(5))
    teller = begun(bench)
    assert told(teller, bench) == ["now:5|g"]
    ring.emit(event(100), event(3_000), event(400, "u"))
    assert told(teller, bench) == [
        *("calls.t:2|c", "calls.u:1|c", "cost.count:3|c", "cost.sum:3.5|c"),
        *("now:400|g", "sent:3.5|c"),
        *("took.bucket.0_1:1|c", "took.bucket.1:2|c", "took.count:3|c"),
        "took.sum:3.5|c",
    ]
    assert told(teller, bench) == ["now:400|g"]


@pytest.mark.parametrize(("word", "kind"), [("distribution", "d"), ("histogram", "h")])
def test_values_for_buckets(word: str, kind: str) -> None:
    """A line for each bucket, whose values have the sum that was measured."""
    bench = Bench(METRICS[-1])
    teller = begun(bench, dialect="dogstatsd", distributions=word)
    bench.ring().emit(event(50), event(70), event(300), event(3_000))
    assert told(teller, bench) == [
        *(f"took:0.05|{kind}|@0.5", f"took:0.55|{kind}", f"took:2.77|{kind}"),
    ]
    assert told(teller, bench) == []


def test_what_was_not_sent_is_told_later() -> None:
    """With what was added meanwhile; and a part that was sent is not told again."""
    bench = Bench(METRICS[3])
    ring = bench.ring()
    teller = begun(bench)
    ring.emit(event(1_000))
    assert told(teller, bench, is_sent=False) == ["cost.count:1|c", "cost.sum:1|c"]
    lines = teller.lines(bench.measures.read())
    lines[0].note()
    teller.keep(lines[1:])
    assert told(teller, bench, is_sent=False) == ["cost.sum:1|c"]
    ring.emit(event(2_000))
    assert told(teller, bench) == ["cost.count:1|c", "cost.sum:3|c"]


def test_what_waits_comes_first() -> None:
    """Else a server that reads slowly would never hear of some."""
    bench = Bench(METRICS[0], METRICS[1])
    teller, ring = begun(bench), bench.ring()
    ring.emit(event(1_000))
    calls, sent = teller.lines(bench.measures.read())
    calls.note()
    teller.keep([sent])
    ring.emit(event(1_000))
    lines = teller.lines(bench.measures.read())
    assert [line.text for line in lines] == ["sent:2|c", "calls.t:1|c"]


def test_sampled_events() -> None:
    """Counters have broken numbers; values stand for whole events, and the rest of
    them for more when there is more."""
    bench = Bench(METRICS[0], METRICS[-1])
    ring = bench.ring()
    teller = begun(bench, dialect="dogstatsd")
    threshold = int(2**32 / 3) + 1  # each stands for one and a half, and a little
    ring.emit(event(50, threshold=threshold))
    calls, took = told(teller, bench)
    assert float(calls.split(":")[1].split("|")[0]) == pytest.approx(1.5)
    assert took == "took:0.05|d"
    ring.emit(event(50, threshold=threshold))
    assert told(teller, bench)[1] == "took:0.05|d|@0.5"


def test_a_series_that_ended_and_began_anew() -> None:
    """It is told from 0."""
    bench = Bench(measures.counter("calls", "a.b", tags=["worker_id"]))
    teller, ring = begun(bench), bench.ring()
    ring.emit(event(1), event(1))
    assert told(teller, bench) == ["calls.w-1:2|c"]
    ring.close()
    bench.now_s += 100
    bench.commit()
    assert told(teller, bench) == []
    bench.ring().emit(event(1))
    assert told(teller, bench) == ["calls.w-1:1|c"]


def test_a_series_that_ended_before_it_was_told() -> None:
    """It is lost, and counted."""
    bench = Bench(measures.counter("calls", "a.b", tags=["worker_id"]))
    teller, ring = begun(bench), bench.ring()
    ring.close(event(1))
    assert told(teller, bench, is_sent=False) == ["calls.w-1:1|c"]
    bench.now_s += 100
    bench.commit()
    assert told(teller, bench) == []
    assert teller.dropped == {"ended": 1}


def test_a_metric_that_comes_later() -> None:
    """It begins with what it stands at when it is found, which may be history."""
    bench = Bench(METRICS[0])
    teller, ring = begun(bench), bench.ring()
    bench.measures.attach([METRICS[3]])
    ring.emit(event(1_000))
    assert told(teller, bench) == ["calls.t:1|c"]
    ring.emit(event(1_000))
    assert told(teller, bench) == ["calls.t:1|c", "cost.count:1|c", "cost.sum:1|c"]


def test_what_cannot_be_said() -> None:
    """Gauges without their tags, and numbers beyond any, are counted instead."""
    bench = Bench(
        measures.last_value("depth", "a.b", "n", tags=["tool"]),
        measures.sum("much", "a.b", "n", unit="s->ns"),
    )
    teller = begun(bench, plain_tags="drop")
    bench.ring().emit(event(1e308))
    assert told(teller, bench) == []
    assert teller.dropped == {"no_tags": 1, "not_finite": 1}
