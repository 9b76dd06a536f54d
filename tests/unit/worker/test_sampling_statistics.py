"""The kept share is right, and independent, at every rate and in every process.

The draws are a published hash of the given IDs, so most of these tests give the
same numbers each time. Where IDs are random (ring ids, span ids) a test of a
right share fails once in 10^9 runs at most.
"""

import itertools
import math
from collections import Counter
from pathlib import PurePath

import pytest

import shmtel
from shmtel.config import threshold_of
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace

RATES = [0.001, 0.003, 0.01, 0.05, 0.2, 0.5, 0.9, 0.99, 1.0]
COUNT = 20_000
CHUNK = 2_000  # what the ring holds without a collector


def divergence(share: float, rate: float) -> float:
    """Return how far a share is from a rate, in nats for each event."""
    pairs = ((share, rate), (1 - share, 1 - rate))
    return sum(p * math.log(p / q) if q else math.inf for p, q in pairs if p > 0.0)


def is_within(kept: int, count: int, rate: float) -> bool:
    """Say whether a binomial count may be of that rate.

    Chernoff's bound: a count that is so far off or farther, on either side, has a
    probability of at most 2 * exp(-count * divergence), here below 10^-9.
    """
    return count * divergence(kept / count, rate) <= math.log(2e9)


def kept_of(ring: OwnRing, rate: float, ids: list[str | None]) -> list[str | None]:
    """Emit an event for each ID at a rate, and return the IDs of those kept."""
    ring.consumer.set_default_word(threshold_of(rate))
    kept: list[str | None] = []
    for start in range(0, len(ids), CHUNK):
        for correlation_id in ids[start : start + CHUNK]:
            shmtel.emit("drawn", {}, None, correlation_id)
        events = ring.events()
        assert {event.threshold for event in events} <= {threshold_of(rate)}
        kept += [event.correlation_id for event in events]
    return kept


def test_share_of_events_that_are_made_plain(ring: OwnRing) -> None:
    """What has to be made plain first is decided on once, like any other event."""
    ring.consumer.set_default_word(threshold_of(0.5))
    kept = 0
    for _ in range(0, COUNT, CHUNK):
        for _ in range(CHUNK):
            shmtel.emit("drawn", {}, {"path": PurePath()})
        kept += len(ring.events())
    assert is_within(kept, COUNT, 0.5)


@pytest.mark.parametrize("rate", RATES)
def test_share_of_events_with_ids(ring: OwnRing, rate: float) -> None:
    """One decision for each ID, and the share of the IDs is the rate."""
    kept = kept_of(ring, rate, [f"request-{index}" for index in range(COUNT)])
    assert is_within(len(kept), COUNT, rate)


@pytest.mark.parametrize("rate", RATES)
def test_share_of_events_without_ids(ring: OwnRing, rate: float) -> None:
    """Each event is a decision of its own."""
    assert is_within(len(kept_of(ring, rate, [None] * COUNT)), COUNT, rate)


@pytest.mark.parametrize("rate", RATES)
def test_constant_id_is_kept_or_left_out_as_one(ring: OwnRing, rate: float) -> None:
    """Events of one ID stand or fall together: all or none, and by the rate."""
    constant = [f"constant-{index}" for index in range(200)]
    found = Counter(kept_of(ring, rate, constant * 10))
    assert set(found.values()) <= {10}
    assert is_within(len(found), 200, rate)


@pytest.mark.parametrize("rate", RATES)
def test_share_of_spans(ring: OwnRing, rate: float) -> None:
    """A span without an ID draws by its root, and is kept whole."""
    ring.consumer.set_default_word(threshold_of(rate))
    kept: Counter[str] = Counter()
    for _ in range(10):
        for _ in range(500):
            with shmtel.span("root"), shmtel.span("leaf"):
                pass
        kept.update(event.name for event in ring.events())
    assert is_within(kept["root.start"], 5000, rate)
    assert len(set(kept.values())) <= 1


def test_sets_of_kept_ids_are_nested(ring: OwnRing) -> None:
    """What a low rate keeps a higher one keeps too: a trace is not torn by two."""
    ids: list[str | None] = [f"nested-{index}" for index in range(4000)]
    kept = [set(kept_of(ring, rate, ids)) for rate in RATES]
    for fewer, more in itertools.pairwise(kept):
        assert fewer <= more


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_neighbouring_ids_are_independent(ring: OwnRing, rate: float) -> None:
    """That an ID was kept says nothing about the next: both as often as by chance."""
    ids = [f"{index:08x}" for index in range(COUNT)]
    kept = set(kept_of(ring, rate, list(ids)))
    pairs = zip(ids[::2], ids[1::2], strict=True)
    both = sum(a in kept and b in kept for a, b in pairs)
    assert is_within(both, COUNT // 2, rate * rate)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_neighbouring_events_without_ids_are_independent(
    ring: OwnRing, rate: float
) -> None:
    """One unlucky draw does not repeat, and does not ward off the next."""
    ring.consumer.set_default_word(threshold_of(rate))
    kept: set[int] = set()
    for start in range(0, COUNT, CHUNK):
        for index in range(start, start + CHUNK):
            shmtel.emit("drawn", {"index": index})
        kept |= {int(event.measurements["index"]) for event in ring.events()}
    both = sum(index + 1 in kept for index in kept if index % 2 == 0)
    assert is_within(both, COUNT // 2, rate * rate)


FORKS = """
import os, shmtel
shmtel.emit("parent", {})
for child in range(6):
    pid = os.fork()
    if pid == 0:
        for index in range(3000):
            shmtel.emit("alone", {"index": index})
            shmtel.emit("named", {"index": index}, None, "id-%d" % index)
            with shmtel.span("job"):
                pass
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_share_in_every_worker_of_a_fork(rate: float) -> None:
    """Each child keeps its share; they agree on IDs and on nothing else."""
    with fresh_namespace() as namespace:
        run_python(
            FORKS,
            namespace,
            SHMTEL_SAMPLING_RATE=str(rate),
            SHMTEL_RING_SIZE="4MiB",
        )
        children = [
            ring for ring in left_rings(namespace) if ring.resource["parent_ring_id"]
        ]
        assert len(children) == 6
        alone, named, spans = [], [], []
        for child in children:
            events = child.events
            alone.append({e.measurements["index"] for e in events if e.name == "alone"})
            named.append({e.measurements["index"] for e in events if e.name == "named"})
            spans.append(sum(event.name == "job.start" for event in events))
        assert all(is_within(len(kept), 3000, rate) for kept in alone)
        assert all(is_within(count, 3000, rate) for count in spans)
        assert all(kept == named[0] for kept in named)
        assert is_within(len(named[0]), 3000, rate)
        pairs = zip(alone[::2], alone[1::2], strict=True)
        both = sum(len(one & other) for one, other in pairs)
        assert is_within(both, 3 * 3000, rate * rate)
