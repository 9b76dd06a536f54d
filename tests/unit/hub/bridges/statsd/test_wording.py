"""Lines of both dialects, whatever names and values hold."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel.hub import measures
from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.wording import number, rate_of, wording_of

TAGGED = measures.counter("shop:orders", "a", tags=["country", "plan"])
DATADOG = wording_of(
    StatsdSettings(dialect="dogstatsd", prefix="x.y", tags={"env": "a:b", "plan": "no"})
)
PLAIN = wording_of(StatsdSettings(prefix="x"))
BARE = wording_of(StatsdSettings(plain_tags="drop"))


def test_tags_where_there_are_some() -> None:
    """Those of all lines first; the metric's own win, and empty ones are none."""
    words = DATADOG.words(TAGGED, ("de", "pro"))
    line = words.line(3, "c", leaf="n", bound="0.5", rate="0.1")
    assert line == "x.y.shop_orders.n:3|c|@0.1|#env:a_b,plan:pro,country:de,le:0.5"
    words = DATADOG.words(TAGGED, ("", ""))
    assert words.line(3, "c") == "x.y.shop_orders:3|c|#env:a_b,plan:no"
    words = wording_of(StatsdSettings(dialect="dogstatsd")).words(TAGGED, ("", ""))
    assert words.line(3, "c") == "shop_orders:3|c"
    assert words.line(3, "c", bound="1") == "shop_orders:3|c|#le:1"


def test_names_where_there_are_no_tags() -> None:
    """The values are levels of the name, a missing one too; or there are none."""
    words = PLAIN.words(TAGGED, ("de", "a.b"))
    assert words.line(3, "c") == "x.shop_orders.de.a_b:3|c"
    words = PLAIN.words(TAGGED, ("", "pro"))
    line = words.line(3, "c", leaf="bucket", bound="0.5")
    assert line == "x.shop_orders.none.pro.bucket.0_5:3|c"
    assert BARE.words(TAGGED, ("de", "pro")).line(3, "c") == "shop_orders:3|c"


def test_gauges_below_zero() -> None:
    """Servers take a sign for a change, so they are told 0 before."""
    gauge = measures.last_value("g", "a", "n", tags=["t"])
    words = PLAIN.words(gauge, ("w",))
    assert words.gauge(-5) == "x.g.w:0|g\nx.g.w:-5|g"
    assert words.gauge(-0.0) == "x.g.w:0|g"
    tags = "#env:a_b,plan:no,t:w"
    told = DATADOG.words(gauge, ("w",)).gauge(-5)
    assert told == f"x.y.g:0|g|{tags}\nx.y.g:-5|g|{tags}"
    assert BARE.words(gauge, ("w",)).gauge(5) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(2**62, "4611686018427387904"), (5.0, "5"), (0.1, "0.1"), (1e300, "1e+300")],
)
def test_numbers(value: float, text: str) -> None:
    """Whole ones are exact."""
    assert number(value) == text
    with pytest.raises(ValueError, match="inf"):
        number(value * float("inf"))


@given(st.integers(2, 2**48))
def test_rates_stand_for_whole_events(events: int) -> None:
    """Servers take the whole part of the inverse; some read no exponents."""
    text = rate_of(events)
    assert int(1 / float(text)) == events
    assert re.fullmatch(r"0\.\d+", text)
    assert rate_of(1) == ""


@settings(max_examples=50)
@given(st.text(max_size=8), st.text(max_size=8))
def test_no_value_ends_a_line(one: str, other: str) -> None:
    """Each part stays what it is."""
    hostile = f"{one}:|@#\n,{other}"
    line = DATADOG.words(TAGGED, (hostile, "pro")).line(3, "c")
    assert line.startswith("x.y.shop_orders:3|c|#env:a_b,plan:pro,country:")
    assert len(line.splitlines()) == 1
    assert (line.count("|"), line.count("#"), line.count(",")) == (2, 1, 2)
    line = PLAIN.words(TAGGED, (hostile, other)).line(3, "c")
    assert re.fullmatch(r"x\.shop_orders\.[\w-]+\.[\w-]+:3\|c", line, re.ASCII)
