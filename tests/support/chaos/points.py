"""The named points at which a program kills or freezes itself.

One table: where a point is in the code, and which passages of it count. What a
program does there is said by its `Arm`s; each happens once.

A point in C (`core:`) is one of ring_point.h; the program then runs with the core
that tests/native builds.

Rules:
- a point whose target has gone makes the program fail at its start (patches.py);
- what is about to happen is written down before it happens; not so in C, where
  the end itself tells.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from support.chaos.patches import Wrap, after, before, patch

COLLECTOR = "collector"
HUB = "hub"
CORE = "core:"

_When = Callable[[Callable[..., object]], Wrap]


@dataclass(frozen=True, slots=True)
class Point:
    """One place in one program.

    Attributes:
        target: what is patched; `core:` and a name, for a point in C.
        passages: at most the how many-th passage is taken; few where a program
            rarely comes by.
        counts: says of the arguments, or of the result, whether a passage counts.
    """

    name: str
    program: str
    target: str
    when: _When
    passages: int
    counts: Callable[..., bool] = lambda *_arguments, **_named: True

    @property
    def can_stop(self) -> bool:
        """Say whether a program can be frozen there; points in C only kill."""
        return not self.target.startswith(CORE)


def _is_there(result: Any) -> bool:
    return result is not None


def _is_batch(frame: Any) -> bool:
    return type(frame).__name__ == "Batch"


_RING = "shmtel_collector.ring:Ring"
_SOURCE = "shmtel_collector.source:Source"
_SESSION = "shmtel_collector.session:Session"
_WRITE = "shmtel_collector.uplink:encode_collector_frame"
_FLEET = "shmtel_collector.fleet:Fleet"
_STATE = "shmtel_collector.state:State"
_DISCOVERY = "shmtel_collector.discovery:Discovery"
_DISPATCHER = "shmtel.hub.dispatch:Dispatcher"
_ROLE = "shmtel.wire.hub_role:HubProtocol"
_TABLE = "shmtel.hub.table:RingTable"
_POSITIONS = "shmtel.hub.positions:PositionStore"
_CALL = "shmtel.hub.calls:Delivery"
_SINK = "shmtel.hub.jsonlines:JsonLines"
_SPOOL = "shmtel_collector.spool:Spool"

POINTS = (
    Point("after_drain", COLLECTOR, f"{_RING}.take", after, 60, _is_there),
    Point("before_send", COLLECTOR, f"{_SESSION}.send", before, 40),
    Point("after_send", COLLECTOR, f"{_SESSION}.send", after, 40),
    # The batches before this one are on their way.
    Point("between_writes", COLLECTOR, _WRITE, before, 40, _is_batch),
    Point("after_ack", COLLECTOR, f"{_RING}.acknowledge", before, 60),
    Point("before_settlement", COLLECTOR, f"{_SOURCE}.settle", before, 60),
    Point("between_slot_and_head", COLLECTOR, f"{CORE}settle_slotted", before, 60),
    Point("after_settlement", COLLECTOR, f"{_SOURCE}.settle", after, 60),
    Point("after_closed", COLLECTOR, f"{_FLEET}.remove", before, 3),
    Point("before_written_down", COLLECTOR, f"{_STATE}.finish", before, 3),
    Point("before_unlink", COLLECTOR, f"{_DISCOVERY}.remove", before, 3),
    Point("after_unlink", COLLECTOR, f"{_DISCOVERY}.remove", after, 3),
    Point("before_spooled", COLLECTOR, f"{_SPOOL}.append", before, 10),
    Point("before_released", COLLECTOR, f"{_RING}.spooled", before, 10),
    Point("after_released", COLLECTOR, f"{_RING}.spooled", after, 10),
    Point("before_buried", COLLECTOR, f"{_FLEET}.bury", before, 2),
    Point("after_buried", COLLECTOR, f"{_FLEET}.bury", after, 2),
    Point("from_spool", COLLECTOR, f"{_SPOOL}.next_segment", after, 10, _is_there),
    Point("before_spool_forgets", COLLECTOR, f"{_SPOOL}.forget", before, 3),
    Point("before_dispatch", HUB, f"{_DISPATCHER}.deliver", before, 40),
    Point("after_dispatch", HUB, f"{_DISPATCHER}.deliver", after, 40),
    Point("before_handler", HUB, f"{_CALL}.call", before, 60),
    Point("after_handler", HUB, f"{_CALL}.call", after, 60),
    Point("after_sink", HUB, f"{_SINK}.__call__", after, 30),
    Point("before_positions", HUB, f"{_ROLE}.commit", before, 40),
    Point("before_table", HUB, f"{_POSITIONS}.write", before, 30),
    Point("after_table", HUB, f"{_POSITIONS}.write", after, 30),
    Point("before_hub_acks", HUB, f"{_ROLE}.acknowledge", before, 40),
    Point("after_hub_acks", HUB, f"{_ROLE}.acknowledge", after, 40),
    Point("before_ring_opens", HUB, f"{_TABLE}.open", before, 4),
    Point("after_ring_closes", HUB, f"{_TABLE}.close", after, 3),
)
BY_NAME = {point.name: point for point in POINTS}


@dataclass(frozen=True, slots=True)
class Arm:
    """What a program does to itself, at which passage of a point."""

    point: str
    passage: int
    is_stop: bool = False  # frozen, to be woken from outside; else killed

    @property
    def number(self) -> int:
        """The signal that it sends itself."""
        return signal.SIGSTOP if self.is_stop else signal.SIGKILL


def is_in_core(arm: Arm) -> bool:
    """Say whether it is about a point in C."""
    return BY_NAME[arm.point].target.startswith(CORE)


class Strikes:
    """Counts passages, and strikes when one is reached."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """Take whom to tell, in time, what is about to happen."""
        self._report = report
        self._lock = threading.Lock()

    def set(self, arms: Sequence[Arm], core: ctypes.CDLL | None) -> None:
        """Put all arms in their places; `core` is the one with points, if loaded."""
        for arm in arms:
            point = BY_NAME[arm.point]
            if is_in_core(arm):
                assert core is not None, "a point in C needs the core with points"
                name = point.target.removeprefix(CORE).encode()
                core.ring_points_arm(name, ctypes.c_uint64(arm.passage))
            else:
                patch(point.target, point.when(self._counting(point, arm)))

    def _counting(self, point: Point, arm: Arm) -> Callable[..., None]:
        passed = 0

        def pass_by(*arguments: Any, **named: Any) -> None:
            nonlocal passed
            if not point.counts(*arguments, **named):
                return
            with self._lock:
                passed += 1
                if passed == arm.passage:
                    self._report(arm.point)
                    os.kill(os.getpid(), arm.number)

        return pass_by
