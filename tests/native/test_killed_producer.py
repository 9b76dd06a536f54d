"""Producers that are killed between any two of their stores.

Workers run a core with the points of ring_point.h, always with the same events;
one is killed at each point, at several passages. What it leaves is read by the
core as it is installed, and compared with what a worker did that was left alone.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from shmtel import _ring, segments
from shmtel_collector import discovery
from support import doomed_worker
from support.native_build import NATIVE, build
from support.own_ring import decode
from support.program import clean_environment
from support.quiet_log import QuietLog

CORE = NATIVE.parents[1] / "shmtel" / "csrc"
BATCH_HEAD = 5  # bytes of the array that holds a pass's events
BEFORE_MAGIC = ("create_begun", "create_locked", "create_allocated", "create_filled")
# How far the cached counts lag behind the records: of all, of bytes, of the name.
LAG = {
    "record_committed": (1, 1, 1),
    "record_counted": (0, 1, 1),
    "record_weighed": (0, 0, 1),
}


class Ring:
    """One ring of a worker, drained bit by bit."""

    def __init__(self, name: str) -> None:
        self.name = name
        fd = segments.open_segment(name, writable=True)
        try:
            self.consumer = _ring.Consumer(fd)
        except _ring.RingError:
            os.close(fd)
            raise
        self.events: list[tuple[str, Any, Any]] = []
        self.bytes = 0  # of the events' arrays

    def drain(self) -> None:
        """Take all there is; what the clock and chance decide is left out."""
        while (drained := self.consumer.drain(1 << 20)) is not None:
            for event in decode(drained, self.consumer.names(0)):
                assert event.seq == len(self.events) + 1
                numbers = event.measurements if "index" in event.measurements else None
                self.events.append((event.name, numbers, event.metadata))
            assert drained.counts == [], "something is rejected"
            self.bytes += len(drained.events) - BATCH_HEAD
            totals = [drained.seq_last] + [0] * 31
            self.consumer.settle(drained.position, drained.seq_last, totals)

    def observe(self) -> tuple["_ring.Observation", int | None]:
        """What the worker has counted by name, and who holds its lock."""
        with open(Path(segments.DIRECTORY, self.name), "rb") as segment:
            return _ring.observe(segment.fileno()), _ring.lock_holder(segment.fileno())


@dataclass
class Outcome:
    """What is left of a worker."""

    code: int
    returned: int
    rings: list[Ring] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)  # segments without magic

    @property
    def events(self) -> list[tuple[str, Any, Any]]:
        """All events, of one ring after the other."""
        return [event for ring in self.rings for event in ring.events]

    @property
    def dropped(self) -> int:
        """The cached counts of all rings."""
        counters = [ring.consumer.counters() for ring in self.rings]
        return sum(sum(each["dropped"].values()) for each in counters)


class Workers:
    """The program that forks workers, and their rings."""

    def __init__(self, core: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, doomed_worker.__file__, str(core)],
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.namespaces: list[str] = []

    def close(self) -> None:
        """End the program and remove what its workers have left."""
        self._process.communicate(timeout=30)
        for namespace in self.namespaces:
            for name in segments.scan(namespace):
                segments.unlink(name)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def run(self, point: str = "", passage: int = 0, **options: bool) -> Outcome:
        """Run one worker to its end."""
        namespace = f"doomed-{secrets.token_hex(4)}"
        self.namespaces.append(namespace)
        task = {"namespace": namespace, "point": point, "passage": passage}
        self._say(json.dumps({"is_watched": False, **task, **options}))
        rings: dict[str, Ring] = {}
        said: dict[str, Any] = {}
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "said":
                said = json.loads(rest)
                continue
            unfinished = _drain_all(namespace, rings)
            if word == "ended":
                code, returned = map(int, rest.split())
                return Outcome(code, returned, [*rings.values()], said, unfinished)
            if word == "retire":
                [*rings.values()][-1].consumer.set_enabled(_ring.RING_RETIRED)
            self._say("go on")
        raise AssertionError("the program has ended")


def _drain_all(namespace: str, rings: dict[str, Ring]) -> list[str]:
    """Drain every ring, also new ones; return what is not yet a ring."""
    unfinished = []
    for name in segments.scan(namespace):
        if name not in rings:
            try:
                rings[name] = Ring(name)
            except _ring.RingError as error:
                if error.reason != "no_magic":
                    raise
                unfinished.append(name)
    for ring in rings.values():
        ring.drain()
    return unfinished


@pytest.fixture(scope="module")
def core() -> Path:
    """The core with points, built once."""
    return build("points") / "points" / "_ring.so"


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


POINTS = _points_in_the_source()


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
    workers: Workers, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A collector leaves it alone at first, and then removes it."""
    outcome = workers.run(point, 1)
    namespace = workers.namespaces[-1]
    assert len(outcome.unfinished) == 1
    assert outcome.rings == []
    found = discovery.Discovery(namespace, QuietLog())
    assert list(found.poll(0)) == []
    assert segments.scan(namespace) == outcome.unfinished
    later = discovery.time.time() + discovery.ABANDONED_SECONDS + 1
    monkeypatch.setattr("shmtel_collector.discovery.time.time", lambda: later)
    assert list(found.poll(2 * discovery.RESCAN_NS)) == []
    assert segments.scan(namespace) == []


def test_the_product_has_no_points(core: Path) -> None:
    """What is installed holds neither the call nor a name; the test build does."""
    assert _ring.__file__ is not None
    installed, with_points = Path(_ring.__file__).read_bytes(), core.read_bytes()
    for word in ("ring_point", *POINTS):
        assert word.encode() in with_points
        assert word.encode() not in installed
