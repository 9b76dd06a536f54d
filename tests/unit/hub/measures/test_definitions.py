"""Definitions: what may be said, what it means, and what is refused."""

from typing import Any

import pytest

from shmtel.hub import measures
from shmtel.hub.measures.conditions import conditions_of, matches
from shmtel.hub.measures.defaults import default_metrics
from shmtel.hub.measures.instrument import Instrument
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.names import family_name, refuse_clashes
from shmtel.hub.measures.units import unit_of
from shmtel.hub.metrics import FAMILIES


@pytest.mark.parametrize(
    ("unit", "measured", "told", "word"),
    [
        ("ns->ms", 1_500_000, 1.5, "milliseconds"),
        (("ns", "s"), 2_000_000_000, 2, "seconds"),
        ("s -> ms", 0.25, 250, "milliseconds"),
        ("bytes", 7, 7, "bytes"),
        ("bytes->MiB", 3 << 19, 1.5, "mebibytes"),
        ("percent->ratio", 250, 2.5, "ratio"),
        ("", 4, 4, ""),
        ("apples", 4, 4, "apples"),
    ],
)
def test_units_convert(unit: Any, measured: float, told: float, word: str) -> None:
    """Within a dimension, exactly; what is in one unit stays as it is."""
    made = unit_of(unit)
    assert (made.convert(measured), made.word) == (told, word)


def test_bounds_are_converted_back_exactly() -> None:
    """A bound in seconds is a whole number of nanoseconds, not one beside it."""
    made = measures.distribution("d", "a", "n", unit="ns->s", buckets=[0.0001, 0.3, 60])
    bounds = Instrument(made).bounds
    assert bounds == [100_000, 300_000_000, 60_000_000_000]
    assert all(isinstance(bound, int) for bound in bounds)


@pytest.mark.parametrize(
    ("conditions", "is_match"),
    [
        ({}, True),
        ({"plan": "pro*"}, True),
        ({"plan": "PRO*"}, False),
        ({"plan": ["free", "prof*"]}, True),
        ({"plan": "*", "retry": 1}, True),
        ({"retry": True}, False),
        ({"is_test": False}, True),
        ({"is_test": 0}, False),
        ({"absent": "*"}, False),
    ],
)
def test_conditions_match(conditions: dict[str, object], is_match: bool) -> None:
    """All keys have to; text is a glob, and a truth value is no number."""
    metadata = {"plan": "professional", "retry": 1, "is_test": False}
    assert matches(conditions_of(conditions), metadata) is is_match


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        ("counter", {"name": "9lives"}, "`name` .* is none"),
        ("counter", {"event": []}, "`event` is a name or glob"),
        ("counter", {"event": [5]}, "`event` is a name or glob"),
        ("counter", {"name": 5}, "`name` is a text"),
        ("counter", {"tags": "tool"}, "`tags` is a list"),
        ("counter", {"tags": {"k": 5}}, "`tags` is a list"),
        ("counter", {"tags": ["_.name._"]}, "is no name"),
        ("counter", {"tag_values": "x"}, "`tag_values` is a function"),
        ("counter", {"keep": "plan"}, "`keep` is a table"),
        ("counter", {"drop": ["plan"]}, "`drop` is a table"),
        ("counter", {"kep": {"plan": "x"}}, "`kep` is not known; there are tags"),
        ("counter", {"series_max": 2.5}, "`series_max` is a whole number"),
        ("sum", {"measurement": 5}, "`measurement` is the key"),
        ("sum", {"measurement": None}, "`measurement` is the key"),
        ("sum", {"unit": "%"}, "'%' is no word"),
        ("last_value", {"expiry_s": "x"}, "above 0"),
        ("distribution", {"buckets": "12"}, "a list of numbers"),
        ("distribution", {"buckets": [-1, 0, 2]}, "0 or more"),
        ("counter", {"tags": ["le"]}, "Prometheus"),
        ("counter", {"tags": ["a-b"]}, "is no name"),
        ("counter", {"tags": ["correlation_id"]}, "another one for each event"),
        ("counter", {"keep": {"seq": 1}}, "no conditions on seq"),
        ("counter", {"drop": {"a": {"b": 1}}}, "compared with"),
        ("counter", {"series_max": 0}, "1 or more"),
        ("sum", {"unit": "ns->bytes"}, "not converted"),
        ("sum", {"unit": "a->b->c"}, "no unit"),
        ("last_value", {"expiry_s": 0}, "above 0"),
        ("distribution", {"buckets": []}, "1 to 200"),
        ("distribution", {"buckets": [1, 1]}, "rise"),
        ("distribution", {"buckets": [1, float("inf")]}, "finite"),
    ],
)
def test_what_is_wrong_is_refused(kind: str, change: dict[str, Any], text: str) -> None:
    """When it is made, and with the reason."""
    given = {"name": "m", "event": "a.b"}
    if kind != "counter":
        given["measurement"] = "n"
    with pytest.raises(ValueError, match=text):
        getattr(measures, kind)(**(given | change))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (measures.counter("shop.orders", "a"), "shop_orders"),
        (measures.counter("shop_orders_total", "a"), "shop_orders"),
        (measures.sum("sent", "a", "n", unit="bytes"), "sent_bytes"),
        (measures.sum("sent_bytes", "a", "n", unit="bytes"), "sent_bytes"),
        (measures.summary("lag", "a", "n", unit="ns->ms"), "lag_milliseconds"),
        (measures.summary("lag", "a", "n", unit="\xb5s->s"), "lag_seconds"),
        (measures.summary("lag", "a", "n", unit="\u03bcs"), "lag_microseconds"),
    ],
)
def test_names_carry_the_unit(metric: Metric, name: str) -> None:
    """Once, and without the suffix of the kind."""
    assert family_name(metric) == name


@pytest.mark.parametrize(
    "names",
    [
        ("a.b", "a.b"),
        ("a.b", "a_b"),
        ("shmtel_hub_streams",),
        ("process_cpu",),
        *((family.name,) for family in FAMILIES),
    ],
)
def test_names_that_meet_are_refused(names: tuple[str, ...]) -> None:
    """Two metrics never make one series, nor one of the hub's own."""
    with pytest.raises(ValueError, match=r"choose another name|rename one"):
        refuse_clashes([measures.last_value(name, "x", "n") for name in names])


def test_a_counter_and_its_total_are_one() -> None:
    """For Prometheus has both."""
    with pytest.raises(ValueError, match="rename one"):
        refuse_clashes([measures.counter(name, "x") for name in ("a", "a_total")])


def test_a_name_and_the_parts_of_another() -> None:
    """A histogram owns its `_count`, also if the other comes first."""
    made = [
        measures.last_value("a_count", "x", "n"),
        measures.distribution("a", "x", "n"),
    ]
    with pytest.raises(ValueError, match="'a_count'"):
        refuse_clashes(made)


def test_the_default_ones_live_side_by_side() -> None:
    """They are sentences with prefixed names, without functions, and of no time unit
    but seconds."""
    made = default_metrics()
    refuse_clashes(made)
    for metric in made:
        assert metric.name.startswith("shmtel.")
        assert metric.description.endswith(".")
        assert not metric.has_functions
        assert metric.unit.told in ("", "s", "bytes", "ratio")


def test_a_definition_that_changes_is_another() -> None:
    """What it had counted does not go on in the new one."""
    base: dict[str, Any] = {"name": "m", "event": "a.b", "measurement": "n"}
    changes: list[dict[str, Any]] = [
        *({}, {"event": "a.c"}, {"measurement": "k"}, {"tags": ["t"]}),
        *({"unit": "ns->s"}, {"keep": {"t": 1}}, {"drop": {"t": 1}}),
        *({"buckets": [1.0]}, {"tags": {"u": "t"}}, {"keep": lambda _: True}),
    ]
    made = [measures.distribution(**(base | change)) for change in changes]
    assert len({Instrument(metric).fingerprint for metric in made}) == len(changes)
    again = Instrument(measures.distribution(**base)).fingerprint
    assert again == Instrument(made[0]).fingerprint
