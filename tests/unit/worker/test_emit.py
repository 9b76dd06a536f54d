"""What emit writes into the ring, and what it counts instead."""

import math
import time
from typing import Any

import pytest

import shmtel
from shmtel import _ring
from support.own_ring import OwnRing


def dropped(reason: str) -> int:
    """Return this process's count of one reason."""
    return shmtel.stats()["dropped"][reason]


def test_event_arrives_as_emitted(ring: OwnRing) -> None:
    """Each argument of an emit is in its field of the record."""
    before = time.time_ns()
    shmtel.emit("order.placed", {"items": 3, "total": 9.5}, {"shop": "north"}, "id-1")
    after = time.time_ns()
    (event,) = ring.events()
    assert event.name == "order.placed"
    assert event.measurements == {"items": 3, "total": 9.5}
    assert event.metadata == {"shop": "north"}
    assert event.correlation_id == "id-1"
    assert event.threshold == 0
    assert event.span is None
    assert before <= event.timestamp_ns <= after


def test_arguments_may_be_passed_by_name(ring: OwnRing) -> None:
    """Keyword arguments mean the same as positional ones."""
    shmtel.emit(
        metadata={"k": "v"}, correlation_id="c", measurements={"x": 1}, event="by.name"
    )
    (event,) = ring.events()
    assert (event.name, event.measurements) == ("by.name", {"x": 1})
    assert (event.metadata, event.correlation_id) == ({"k": "v"}, "c")


def test_seq_grows_by_one(ring: OwnRing) -> None:
    """The events of a ring are numbered without gaps."""
    for index in range(5):
        shmtel.emit("numbered", {"index": index})
    seqs = [event.seq for event in ring.events()]
    assert seqs == list(range(seqs[0], seqs[0] + 5))


VALUES: list[Any] = [
    *(sign * 2**bits + delta for bits in range(63) for sign in (1, -1)
      for delta in (-1, 0, 1)),
    2**63 - 1, -(2**63), 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1,
    0.0, -1.5, math.inf, -math.inf, 1e300,
    None, True, False,
    "", "a", "x" * 7, "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 9000,
    "é", "ÿ" * 40, "漢字" * 30, "😀 mixed é漢", "\x00nul",
    b"", b"\x00\xff" * 200,
    [], [1, [2, (3,)]], list(range(20)), list(range(3000)),
    {}, {"a": {"b": {"c": [1]}}}, {str(i): i for i in range(300)},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:24])
def test_metadata_value_round_trips(ring: OwnRing, value: Any) -> None:
    """msgpack reads back every built-in value that the encoder wrote."""
    shmtel.emit("value", {}, {"value": value})
    (event,) = ring.events()
    assert event.metadata is not None
    expected = [1, [2, [3]]] if value == [1, [2, (3,)]] else value
    assert event.metadata["value"] == expected
    assert type(event.metadata["value"]) is type(expected)


@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
def test_natural_numbers_of_64_bits_need_no_detour(
    ring: OwnRing, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What msgpack has a form for is written in it, as measurement and metadata."""
    monkeypatch.setattr("shmtel.plain.make_plain", lambda *_: None)
    shmtel.emit("natural", {"x": value}, {"x": [value]})
    (event,) = ring.events()
    assert (event.measurements, event.metadata) == ({"x": value}, {"x": [value]})


def test_nan_round_trips(ring: OwnRing) -> None:
    """Not a number is a number to the transport."""
    shmtel.emit("nan", {"x": math.nan})
    (event,) = ring.events()
    assert math.isnan(event.measurements["x"])


def test_no_measurements_are_an_empty_map(ring: OwnRing) -> None:
    """None in place of measurements means that there are none."""
    shmtel.emit("bare", None)  # type: ignore[arg-type]
    assert [event.measurements for event in ring.events()] == [{}]


def test_deep_metadata_is_cut_to_text(ring: OwnRing) -> None:
    """Containers deeper than the layout allows become text, at the limit."""
    deep: Any = "bottom"
    for _ in range(20):
        deep = {"in": deep}
    shmtel.emit("deep", {}, {"value": deep})
    (event,) = ring.events()
    value, depth = event.metadata, 0
    while isinstance(value, dict):
        value, depth = next(iter(value.values())), depth + 1
    assert depth == 8
    assert isinstance(value, str)
    assert "bottom" in value


class Hostile:
    """Raises whatever is done with it."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("only.name",),
        ("too", {}, {}, "many", "arguments"),
        (None, {}),
        (17, {}),
        ("", {}),
        ("n" * 256, {}),
        ("e", 5),
        ("e", [1]),
        ("e", {"x": "text"}),
        ("e", {"x": None}),
        ("e", {}, "metadata"),
        ("e", {"x": Hostile()}),
        ("e", {}, None, "c" * 129),
        ("e", {}, None, "é" * 65),
        ("e", {}, None, Hostile()),
    ],
    ids=lambda arguments: str(len(arguments)),
)
def test_what_is_no_event_is_counted(ring: OwnRing, arguments: Any) -> None:
    """A malformed call neither raises nor writes; it is counted as invalid."""
    before = dropped("invalid")
    shmtel.emit(*arguments)
    assert dropped("invalid") == before + 1
    assert ring.events() == []


def test_unknown_keyword_is_counted(ring: OwnRing) -> None:
    """Even a misspelt parameter does not raise."""
    before = dropped("invalid")
    shmtel.emit("e", {}, meta={})  # type: ignore[call-arg]
    shmtel.emit("e", {}, event="twice")  # type: ignore[misc]
    assert dropped("invalid") == before + 2


def test_interrupt_is_not_swallowed(ring: OwnRing) -> None:
    """An exception that is not telemetry's passes through."""

    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shmtel.emit("e", {}, {"x": Interrupting()})
    shmtel.emit("after", {})
    assert [event.name for event in ring.events()] == ["after"]


def test_longest_correlation_id_is_kept(ring: OwnRing) -> None:
    """128 bytes of UTF-8 are a correlation ID, however many characters."""
    for text in ("c" * 128, "é" * 64):
        shmtel.emit("e", {}, None, text)
    assert [event.correlation_id for event in ring.events()] == ["c" * 128, "é" * 64]


def test_large_record_is_dropped_and_counted(ring: OwnRing) -> None:
    """A record over 64 KiB is too large; one just below arrives."""
    before = dropped("too_large")
    shmtel.emit("large", {}, {"text": "x" * 70_000})
    assert dropped("too_large") == before + 1
    shmtel.emit("large", {}, {"text": "x" * 65_000})
    assert len(ring.events()) == 1


def test_full_ring_drops_and_recovers(ring: OwnRing) -> None:
    """A ring without room drops the newest, counts it, and takes more later."""
    before = shmtel.stats()
    text = {"text": "x" * 1000}
    for index in range(2000):
        shmtel.emit("flood", {"index": index}, text)
    after = shmtel.stats()
    lost = after["dropped"]["ring_full"] - before["dropped"]["ring_full"]
    assert lost > 0
    assert after["committed"] - before["committed"] == 2000 - lost
    assert after["used_bytes"] > after["capacity_bytes"] - 65_536
    assert after["high_water_bytes"] >= after["used_bytes"] - 65_536
    kept = [event.measurements["index"] for event in ring.events()]
    assert kept == list(range(2000 - lost))
    shmtel.emit("flood", {"index": -1})
    assert [event.measurements["index"] for event in ring.events()] == [-1]


def test_law_of_the_worker(ring: OwnRing) -> None:
    """emitted is what was committed, dropped and left out by intent."""
    shmtel.emit("law", {})
    shmtel.emit("law", 5)  # type: ignore[arg-type]
    shmtel.disable()
    shmtel.emit("law", {})
    shmtel.enable()
    stats = shmtel.stats()
    assert stats["emitted"] == (
        stats["committed"]
        + sum(stats["dropped"].values())
        + stats["sampled_out"]
        + stats["filtered"]
        + stats["disabled"]
    )


def test_toggle_acts_on_the_next_emit(ring: OwnRing) -> None:
    """The collector's word stops and starts a worker."""
    disabled = shmtel.stats()["disabled"]
    ring.consumer.set_enabled(_ring.RING_OFF)
    shmtel.emit("off", {})
    assert not shmtel.is_enabled()
    ring.consumer.set_enabled(_ring.RING_ON)
    shmtel.emit("on", {})
    assert shmtel.is_enabled()
    assert [event.name for event in ring.events()] == ["on"]
    assert shmtel.stats()["disabled"] == disabled + 1


def test_words_keep_and_leave_out(ring: OwnRing) -> None:
    """A denied event is filtered, rate 0 samples out, and 0 keeps all."""
    names = ["denied.event", "rate.zero", "kept.event"]
    for name in names:
        shmtel.emit(name, {})
    ring.events()
    ids = [ring.consumer.names(0).index(name) for name in names]
    words = [_ring.WORD_DENIED, _ring.WORD_KEEP_NONE, 0]
    before = shmtel.stats()
    for event_id, word in zip(ids, words, strict=True):
        ring.consumer.set_word(event_id, word)
    for name in names:
        shmtel.emit(name, {})
    after = shmtel.stats()
    assert [event.name for event in ring.events()] == ["kept.event"]
    assert after["filtered"] == before["filtered"] + 1
    assert after["sampled_out"] == before["sampled_out"] + 1


def test_default_word_holds_for_unset_names(ring: OwnRing) -> None:
    """A name without a word of its own follows the default word."""
    ring.consumer.set_default_word(_ring.WORD_KEEP_NONE)
    shmtel.emit("follows.default", {})
    ring.consumer.set_default_word(_ring.WORD_UNSET)
    shmtel.emit("follows.default", {})
    assert len(ring.events()) == 1


def test_sampling_keeps_a_share(ring: OwnRing) -> None:
    """At rate 1/4 a quarter of independent events is kept, within 6 sigma."""
    shmtel.emit("share", {})
    ring.events()
    threshold = 3 << 30
    ring.consumer.set_word(ring.consumer.names(0).index("share"), threshold)
    for _ in range(4000):
        shmtel.emit("share", {})
    events = ring.events()
    assert abs(len(events) - 1000) < 6 * (4000 * 0.25 * 0.75) ** 0.5
    assert {event.threshold for event in events} == {threshold}


def test_correlated_events_stand_or_fall_together(ring: OwnRing) -> None:
    """The draw of a correlated event depends on its correlation ID alone."""
    for name in ("first.of", "second.of"):
        shmtel.emit(name, {})
    ring.events()
    names = ring.consumer.names(0)
    for name in ("first.of", "second.of"):
        ring.consumer.set_word(names.index(name), 1 << 31)
    for index in range(400):
        shmtel.emit("first.of", {}, None, f"id-{index}")
        shmtel.emit("second.of", {}, None, f"id-{index}")
    kept: dict[str, set[str | None]] = {"first.of": set(), "second.of": set()}
    for event in ring.events():
        kept[event.name].add(event.correlation_id)
    assert kept["first.of"] == kept["second.of"]
    assert 100 < len(kept["first.of"]) < 300


def test_retired_ring_is_left_for_a_new_one(ring: OwnRing) -> None:
    """A worker whose ring was retired makes another at its next emit."""
    shmtel.emit("before", {})
    old, old_id = ring.reader, shmtel.stats()["ring_id"]
    old.consumer.set_enabled(_ring.RING_RETIRED)
    shmtel.emit("after", {})
    assert shmtel.stats()["ring_id"] != old_id
    assert [event.name for event in old.events()] == ["before"]
    assert [event.name for event in ring.events()] == ["after"]
    assert old.consumer.counters()["closed"]


def test_records_past_the_final_tail_are_dropped(ring: OwnRing) -> None:
    """What a worker wrote behind the end of its retired ring it counts itself."""
    shmtel.emit("read", {})
    final_tail = ring.consumer.tail()
    for _ in range(3):
        shmtel.emit("unread", {})
    old = ring.consumer
    old.set_final_tail(final_tail)
    old.set_enabled(_ring.RING_RETIRED)
    shmtel.emit("after", {})
    assert dropped("no_ring") == 3
    assert [event.name for event in ring.events()] == ["after"]
