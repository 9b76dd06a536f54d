"""Draws, the worker's own sampling and filters, and the law over a change of rings."""

from collections import Counter

import pytest

import shmtel
from shmtel import _ring
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace

# XXH64 with seed 0, as the reference implementation has it: every path through
# the tail of the input, and none, one, two or more stripes of 32 bytes.
VECTORS = {
    "": 0xEF46DB3751D8E999,
    "a": 0xD24EC4F1A98C6E5B,
    "as": 0x1C330FB2D66BE179,
    "asd": 0x631C37CE72A97393,
    "asdf": 0x415872F599CEA71E,
    "abc": 0x44BC2CF5AD770999,
    "xxhash": 0x32DD38952C4BC720,
    "Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
    "Call me Ishmael. Some years ago--never mind how long precisely-": (
        0x02A2E85470D6FD96
    ),
    "0123456789" * 10: 0xF80E7B96315AFFFA,
    "a" * 128: 0x6550288941193272,
}


@pytest.mark.parametrize("correlation_id", VECTORS, ids=len)
def test_draw_is_the_published_hash(ring: OwnRing, correlation_id: str) -> None:
    """A correlated event is kept up to the high half of its ID's XXH64."""
    draw = VECTORS[correlation_id] >> 32
    for threshold in (draw, draw + 1):
        ring.consumer.set_default_word(threshold)
        shmtel.emit("drawn", {}, None, correlation_id)
    assert [event.threshold for event in ring.events()] == [draw]


def test_draw_is_of_the_bytes(ring: OwnRing) -> None:
    """An ID beyond ASCII is hashed as the UTF-8 that goes over the wire."""
    draw = 0x7E513012  # XXH64 of e9 81 a5 e6 b5 8b c3 a9
    for threshold in (draw, draw + 1):
        ring.consumer.set_default_word(threshold)
        shmtel.emit("drawn", {}, None, "遥测é")
    assert [event.threshold for event in ring.events()] == [draw]


EMITTING = """
import shmtel
for index in range(1000):
    shmtel.emit("order.placed", {}, None, "id-%d" % index)
    shmtel.emit("debug.step", {})
    with shmtel.span("job"):
        pass
stats = shmtel.stats()
print(stats["committed"], stats["sampled_out"], stats["filtered"])
assert stats["emitted"] == 4000
"""


def test_rate_of_the_environment_is_in_force() -> None:
    """Half of the events are kept; the identity declares the threshold they carry."""
    with fresh_namespace() as namespace:
        done = run_python(EMITTING, namespace, SHMTEL_SAMPLING_RATE="0.5")
        (ring,) = left_rings(namespace)
        assert ring.identity["initial_threshold"] == 1 << 31
        assert {event.threshold for event in ring.events} == {1 << 31}
        kept = Counter(event.name for event in ring.events)
        for name in ("order.placed", "debug.step", "job.start"):
            assert abs(kept[name] - 500) < 6 * (1000 * 0.25) ** 0.5
        assert kept["job.start"] == kept["job.stop"]
        # The consumer has judged each threshold, and refused none of the events.
        assert ring.reader.totals == [len(ring.events)] + [0] * 31
        committed, sampled_out, filtered = map(int, done.stdout.split())
        assert (committed, filtered) == (len(ring.events), 0)
        assert committed + sampled_out == 4000


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"SHMTEL_DENY": "debug.*"}, {"order.placed", "job.start", "job.stop"}),
        ({"SHMTEL_ALLOW": "job.*, order.*"}, {"order.placed", "job.start", "job.stop"}),
        ({"SHMTEL_ALLOW": "job.*", "SHMTEL_DENY": "*.stop"}, {"job.start"}),
    ],
    ids=["deny", "allow", "both"],
)
def test_filters_of_the_environment_are_in_force(
    variables: dict[str, str], names: set[str]
) -> None:
    """Names that are denied, or not allowed, are counted as filtered."""
    with fresh_namespace() as namespace:
        done = run_python(EMITTING, namespace, **variables)
        (ring,) = left_rings(namespace)
        assert Counter(event.name for event in ring.events) == dict.fromkeys(
            names, 1000
        )
        committed, sampled_out, filtered = map(int, done.stdout.split())
        assert (committed, sampled_out) == (1000 * len(names), 0)
        assert filtered == 4000 - committed


def test_word_of_the_collector_replaces_the_environment() -> None:
    """What a worker leaves out by itself, control can bring back."""
    code = """
import os, shmtel
from shmtel import _ring, ring
shmtel.emit("e", {})
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
consumer = _ring.Consumer(ring.home_in_force().open(name, writable=True))
consumer.set_default_word(0)  # keep all
shmtel.emit("e", {})
assert shmtel.stats()["sampled_out"] == 1
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_SAMPLING_RATE="0")
        (ring,) = left_rings(namespace)
        assert [event.name for event in ring.events] == ["e"]


def accounted(counts: "_ring.WorkerStats | _ring.Counters") -> int:
    """Sum what one ring says about the calls that it saw."""
    intended = counts["sampled_out"] + counts["filtered"] + counts["disabled"]
    return counts["committed"] + sum(counts["dropped"].values()) + intended


def test_law_holds_over_a_retired_ring(ring: OwnRing) -> None:
    """Every call is in the counts of the ring it was made with, and in one only."""
    ring.consumer.set_enabled(_ring.RING_RETIRED)
    shmtel.emit("first.of.its.ring", {})
    old = ring.consumer
    for _ in range(3):
        shmtel.emit("kept", {})
    shmtel.emit("invalid", 5)  # type: ignore[arg-type]
    old.set_default_word(_ring.WORD_KEEP_NONE)
    shmtel.emit("sampled.out", {})
    old.set_default_word(_ring.WORD_DENIED)
    shmtel.emit("filtered", {})
    shmtel.disable()
    shmtel.emit("disabled", {})
    shmtel.enable()
    old.set_enabled(_ring.RING_RETIRED)
    shmtel.emit("next", {})
    shmtel.emit("next", 5)  # type: ignore[arg-type]
    stats = shmtel.stats()
    assert accounted(old.counters()) == 8
    assert accounted(stats) == stats["emitted"] == 2
    assert stats["committed"] == stats["dropped"]["invalid"] == 1
