"""The rings of workers that die where they are told to, and what is left of them.

`Workers` runs doomed_worker.py and drains its workers' rings whenever it pauses.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shmtel import _ring
from support import doomed_worker
from support.home import HOME
from support.own_ring import decode
from support.program import clean_environment

BATCH_HEAD = 5  # bytes of the array that holds a pass's events


class Ring:
    """One ring of a worker, drained bit by bit."""

    def __init__(self, name: str) -> None:
        self.name = name
        fd = HOME.open(name, writable=True)
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
        with open(HOME.path(self.name), "rb") as segment:
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

    def __init__(
        self, core: Path, overflow: str = "drop", make: Callable[[str], Ring] = Ring
    ) -> None:
        self._overflow = overflow
        self._make = make
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
            for name in HOME.scan(namespace):
                HOME.unlink(name)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def run(self, point: str = "", passage: int = 0, **options: bool) -> Outcome:
        """Run one worker to its end."""
        namespace = f"doomed-{secrets.token_hex(4)}"
        self.namespaces.append(namespace)
        task = {"namespace": namespace, "point": point, "passage": passage}
        defaults = {"is_watched": False, "overflow": self._overflow}
        self._say(json.dumps({**defaults, **task, **options}))
        rings: dict[str, Ring] = {}
        said: dict[str, Any] = {}
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "said":
                said = json.loads(rest)
                continue
            unfinished = _drain_all(namespace, rings, self._make)
            if word == "ended":
                code, returned = map(int, rest.split())
                return Outcome(code, returned, [*rings.values()], said, unfinished)
            if word == "retire":
                [*rings.values()][-1].consumer.set_enabled(_ring.RING_RETIRED)
            self._say("go on")
        raise AssertionError("the program has ended")


def _drain_all(
    namespace: str, rings: dict[str, Ring], make: Callable[[str], Ring]
) -> list[str]:
    """Drain every ring, also new ones; return what is not yet a ring."""
    unfinished = []
    for name in HOME.scan(namespace):
        if name not in rings:
            try:
                rings[name] = make(name)
            except _ring.RingError as error:
                if error.reason != "no_magic":
                    raise
                unfinished.append(name)
    for ring in rings.values():
        ring.drain()
    return unfinished
