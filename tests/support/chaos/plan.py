"""What a seed stands for: everything that is decided before a run begins.

The same seed and seconds give the same plan. What the machine makes of it is not
the same twice: a plan says when and where, not between which two instructions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from support.chaos.clock import Jump
from support.chaos.points import COLLECTOR, HUB, POINTS, Arm, Point

QUIET_START_S = 1.0  # the line comes up before the first fault
DROP, OVERWRITE = "drop", "overwrite"
LIVES = 40  # of each program that a plan prepares; more are unprepared


class Fault(Enum):
    """What can be done to a line from outside."""

    KILL_WORKER = "kill_worker"
    STOP_WORKER = "stop_worker"
    KILL_COLLECTOR = "kill_collector"
    STOP_COLLECTOR = "stop_collector"
    END_COLLECTOR = "end_collector"  # in good order
    KILL_HUB = "kill_hub"
    STOP_HUB = "stop_hub"
    END_HUB = "end_hub"
    CUT = "cut"
    DELAY = "delay"
    DRIBBLE = "dribble"
    HALF_OPEN = "half_open"
    REFUSE = "refuse"
    FILL_HUB_DISK = "fill_hub_disk"
    FILL_COLLECTOR_DISK = "fill_collector_disk"
    FILL_SHARED_MEMORY = "fill_shared_memory"


NEEDS_DISK = frozenset(
    {Fault.FILL_HUB_DISK, Fault.FILL_COLLECTOR_DISK, Fault.FILL_SHARED_MEMORY}
)
# A share of the run that a fault of a kind lasts, at least and at most.
_LASTING = {
    Fault.STOP_WORKER: (0.02, 0.2),
    Fault.STOP_COLLECTOR: (0.02, 0.3),
    Fault.STOP_HUB: (0.02, 0.3),
    Fault.DELAY: (0.05, 0.3),
    Fault.DRIBBLE: (0.05, 0.2),
    Fault.HALF_OPEN: (0.05, 0.3),
    Fault.REFUSE: (0.02, 0.15),
    Fault.FILL_HUB_DISK: (0.03, 0.15),
    Fault.FILL_COLLECTOR_DISK: (0.03, 0.15),
    Fault.FILL_SHARED_MEMORY: (0.03, 0.2),
}
_OFFSETS_S = (-86_400.0, -3_600.0, -2.0, 0.7, 3_600.0, 31_536_000.0)


@dataclass(frozen=True, slots=True)
class Act:
    """A fault at a moment, and for how long."""

    at_s: float
    fault: Fault
    lasts_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Life:
    """How one start of a program is prepared.

    Attributes:
        hold_s: how long it stays stopped, where a point stops it.
        pause_s: after its end, before the next one starts.
    """

    arms: tuple[Arm, ...]
    jumps: tuple[Jump, ...]
    hold_s: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """How the workers of a run are."""

    ring_size: str
    bursts: int
    pause_s: float
    largest_text: int
    fork_share: float
    overflow: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run."""

    seed: int
    seconds: float
    is_file_backend: bool
    has_spool: bool
    workers: int
    kinds: tuple[WorkerKind, ...]
    lifetimes_s: tuple[float, float]
    acts: tuple[Act, ...]
    lives: dict[str, tuple[Life, ...]]

    def faults(self) -> set[Fault]:
        """Return the kinds of faults that are to happen."""
        return {act.fault for act in self.acts}


def make_plan(seed: int, seconds: float, has_disks: bool = True) -> Plan:
    """Draw a plan; without disks of its own nothing is filled up."""
    draws = Random(f"chaos/{seed}/{seconds}")
    kinds = tuple(_draw_kind(draws) for _ in range(2))
    acts = _draw_acts(draws, seconds)
    return Plan(
        seed=seed,
        seconds=seconds,
        is_file_backend=draws.random() < 0.3,
        has_spool=draws.random() < 0.6,
        workers=draws.randint(2, 5),
        kinds=kinds,
        lifetimes_s=(0.1 * seconds, 0.6 * seconds),
        acts=tuple(a for a in acts if has_disks or a.fault not in NEEDS_DISK),
        lives={name: _draw_lives(draws, name, seconds) for name in (COLLECTOR, HUB)},
    )


def _draw_kind(draws: Random) -> WorkerKind:
    return WorkerKind(
        ring_size=draws.choice(("64KiB", "64KiB", "256KiB", "1MiB")),
        bursts=draws.choice((10, 60, 300)),
        pause_s=draws.choice((0.01, 0.05, 0.1)),
        largest_text=draws.choice((10, 200, 2_000)),
        fork_share=draws.choice((0.0, 0.0, 0.01)),
        overflow=draws.choice((DROP, DROP, DROP, OVERWRITE)),
    )


def _draw_acts(draws: Random, seconds: float) -> list[Act]:
    """Take some kinds of faults, and spread them over the run."""
    kinds = draws.sample(list(Fault), draws.randint(4, 8))
    count = max(len(kinds), int(seconds * draws.uniform(0.8, 2.0)))
    chosen = [*kinds, *draws.choices(kinds, k=count - len(kinds))]
    moments = [draws.uniform(QUIET_START_S, seconds) for _ in chosen]
    acts = [
        Act(at_s, fault, _lasting(draws, fault, seconds))
        for at_s, fault in zip(moments, chosen, strict=True)
    ]
    return sorted(acts, key=lambda act: act.at_s)


def _lasting(draws: Random, fault: Fault, seconds: float) -> float:
    shortest, longest = _LASTING.get(fault, (0.0, 0.0))
    return draws.uniform(shortest, longest) * seconds


def _draw_lives(draws: Random, program: str, seconds: float) -> tuple[Life, ...]:
    points = [point for point in POINTS if point.program == program]
    armed_share, wrong_share = draws.choice((0.0, 0.5, 1.0)), draws.choice((0.0, 0.5))
    lives = []
    for _ in range(LIVES):
        is_armed = draws.random() < armed_share
        arms = (_draw_arm(draws, points),) if is_armed else ()
        is_wrong = draws.random() < wrong_share
        jumps = _draw_jumps(draws, seconds) if is_wrong else ()
        pause_s = draws.uniform(0.0, 0.1 * seconds)
        lives.append(Life(arms, jumps, draws.uniform(0.0, 0.1 * seconds), pause_s))
    return tuple(lives)


def _draw_arm(draws: Random, points: Sequence[Point]) -> Arm:
    point = draws.choice(points)
    passage = draws.randint(1, point.passages)
    is_stop = draws.random() < 0.15 and point.can_stop
    return Arm(point.name, passage, is_stop)


def _draw_jumps(draws: Random, seconds: float) -> tuple[Jump, ...]:
    return tuple(
        Jump(after_s, draws.choice(_OFFSETS_S))
        for after_s in (0.0, draws.uniform(0.0, seconds / 2))
    )
