"""Producers that are killed between any two of their stores.

Workers run a core with the points of ring_point.h, always with the same events;
one is killed at each point, at several passages. What it leaves is read by the
core as it is installed, and compared with what a worker did that was left alone.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shmtel import _ring
from shmtel.liveness import ABANDONED_SECONDS
from shmtel_collector import discovery
from support import doomed_worker
from support.doomed_rings import Outcome, Ring, Workers
from support.home import HOME
from support.native_build import NATIVE, core_with_points
from support.quiet_log import QuietLog

# What is compiled here takes its time on a busy machine.
pytestmark = pytest.mark.timeout(600)

CORE = NATIVE.parents[1] / "shmtel" / "csrc"
BEFORE_MAGIC = ("create_begun", "create_locked", "create_allocated", "create_filled")
# How far the cached counts lag behind the records: of all, of bytes, of the name.
LAG = {
    "record_committed": (1, 1, 1),
    "record_counted": (0, 1, 1),
    "record_weighed": (0, 0, 1),
}


@pytest.fixture(scope="module")
def core() -> Path:
    """The core with points, built once."""
    return core_with_points()


@pytest.fixture(scope="module")
def workers(core: Path) -> Iterator[Workers]:
    """One program for all workers."""
    made = Workers(core)
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(workers: Workers) -> Outcome:
    """What a worker does that nobody kills; its history is that of another one."""
    outcome = workers.run()
    history = workers.run(is_watched=True).said["history"]
    return replace(outcome, said={**outcome.said, "history": history})


def _points_in_the_source() -> list[str]:
    text = "".join(path.read_text() for path in sorted(CORE.glob("*_*.[ch]")))
    return re.findall(r"^ +RING_POINT\((\w+)\);", text, re.MULTILINE)


# Those of a ring that overwrites are in test_killed_recorder.py, those of a consumer
# among the points of a chaos run.
_ELSEWHERE = ("evict_", "settle_")
POINTS = [name for name in _points_in_the_source() if not name.startswith(_ELSEWHERE)]


def test_the_worker_that_is_left_alone_passes_every_point(
    undisturbed: Outcome,
) -> None:
    """It wraps, drops, spans, retires a ring; no point is out of its way."""
    history = undisturbed.said["history"]
    assert undisturbed.code == 0
    assert undisturbed.returned == doomed_worker.STEPS
    assert len(undisturbed.rings) == 2
    assert undisturbed.unfinished == []
    emitted = sum(map(doomed_worker.events_of, range(doomed_worker.STEPS)))
    assert history[-1] == [len(undisturbed.events), undisturbed.dropped]
    assert sum(history[-1]) == emitted
    dropped = undisturbed.rings[0].consumer.counters()["dropped"]
    assert all(dropped[reason] for reason in ("ring_full", "too_large", "invalid"))
    assert undisturbed.rings[0].consumer.tail() > 2 * (64 << 10)
    assert len(POINTS) == len(set(POINTS)) >= 20
    assert set(undisturbed.said["passages"]) == set(POINTS)


def _passages_of(count: int) -> set[int]:
    return {1, 2, count // 3, count // 2} & set(range(1, count + 1))


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_is_killed_leaves_a_whole_prefix(
    workers: Workers, undisturbed: Outcome, point: str
) -> None:
    """All that was committed is there, in order and whole; the counts never lead."""
    for passage in _passages_of(undisturbed.said["passages"][point]):
        outcome = workers.run(point, passage)
        assert outcome.code == -signal.SIGKILL, (point, passage)
        _check(point, outcome, undisturbed)
        is_unfinished = point in BEFORE_MAGIC
        assert len(outcome.unfinished) == is_unfinished
        if point.startswith("create_"):
            assert len(outcome.rings) == passage - is_unfinished


def _check(point: str, outcome: Outcome, undisturbed: Outcome) -> None:
    """Compare with the worker that did the same and lived on."""
    count = len(outcome.events)
    assert outcome.events == undisturbed.events[:count]
    before, after = undisturbed.said["history"][outcome.returned :][:2]
    assert before[0] <= count <= after[0], point
    assert before[1] <= outcome.dropped <= after[1], point
    if point.startswith("drop_"):
        assert outcome.dropped == (before if point == "drop_begun" else after)[1]
    for ring, whole in zip(outcome.rings, undisturbed.rings, strict=False):
        names = ring.consumer.names(0)
        assert names == whole.consumer.names(0)[: len(names)]
        is_last = ring is outcome.rings[-1] and not outcome.unfinished
        _check_counters(ring, LAG.get(point, (0, 0, 0)) if is_last else (0, 0, 0))
        is_closed = ring.consumer.counters()["closed"]
        assert is_closed == (not is_last or point in ("leave_marked", "leave_unmapped"))


def _check_counters(ring: Ring, lag: tuple[int, int, int]) -> None:
    counters = ring.consumer.counters()
    observation, holder = ring.observe()
    by_name = sum(event["committed"] for event in observation["events"])
    assert counters["committed"] == len(ring.events) - lag[0]
    assert by_name == len(ring.events) - lag[2]
    if lag[1]:
        assert counters["bytes"] < ring.bytes
    else:
        assert counters["bytes"] == ring.bytes
    assert holder is None


@pytest.mark.parametrize("point", BEFORE_MAGIC)
def test_what_is_not_yet_a_ring_goes_when_it_is_old(
    workers: Workers, point: str
) -> None:
    """A collector leaves it alone at first, and then removes it."""
    outcome = workers.run(point, 1)
    namespace = workers.namespaces[-1]
    assert len(outcome.unfinished) == 1
    assert outcome.rings == []
    found = discovery.Discovery(namespace, QuietLog(), HOME)
    assert list(found.poll(0)) == []
    assert HOME.scan(namespace) == outcome.unfinished
    later_ns = int((ABANDONED_SECONDS + 1) * 1e9)
    assert list(found.poll(later_ns)) == []
    assert HOME.scan(namespace) == []


def test_the_product_has_no_points(core: Path) -> None:
    """What is installed holds neither the call nor a name; the test build does."""
    assert _ring.__file__ is not None
    installed, with_points = Path(_ring.__file__).read_bytes(), core.read_bytes()
    for word in ("ring_point", *POINTS):
        assert word.encode() in with_points
        assert word.encode() not in installed
