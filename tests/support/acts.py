"""What workers are told to do, and what of it a policy lets arrive.

An act is an event or a span; a span holds further acts. It is plain data, so
that it can be sent to a worker. Each has a number, which its events carry.

`arriving` is the oracle: it asks the naive model of policies for every name and
knows what a span does with the answers (docs/design/0004). It shares no code
with what is tested.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from support.policy_model import (
    DISABLED,
    OWN,
    Fate,
    draw_of,
    draw_of_bytes,
    keeps,
    threshold_of,
)

AREAS = ("team.worker", "snake.call", "snake.memory", "bridge.rpc")
PLAIN_NAMES = tuple(
    f"{area}.{kind}{number:02}"
    for area in AREAS
    for number in range(20)
    for kind in ("done", "seen")
)
OPERATIONS = tuple(f"{area}.op{number}" for area in AREAS for number in range(8))
MOMENTS = ("start", "stop", "exception")
SPAN_NAMES = tuple(f"{op}.{moment}" for op in OPERATIONS for moment in MOMENTS)
NAMES = PLAIN_NAMES + SPAN_NAMES
assert len(NAMES) == 256

Arrived = tuple[str, int, float]  # name, number of the act, sampling probability


@dataclass(frozen=True, slots=True)
class Act:
    """An event, or a span with what happens inside of it.

    Attributes:
        name: of the event; of a span, its operation.
        correlation_id: its own; "": what is in force around it, or none.
        fails: a span ends with an exception.
    """

    name: str
    number: int
    correlation_id: str = ""
    is_span: bool = False
    fails: bool = False
    inside: tuple["Act", ...] = ()


@dataclass(slots=True)
class Share:
    """How much was kept of events whose draws nobody can foretell."""

    kept: int = 0
    expected: float = 0.0
    variance: float = 0.0

    def is_plausible(self) -> bool:
        """Say whether the kept share is within six deviations, and one event."""
        return abs(self.kept - self.expected) <= 6 * self.variance**0.5 + 1


@dataclass(slots=True)
class Expected:
    """What has to arrive from a worker, and what may.

    Attributes:
        possible: events that a fraction of arrives, by an unknown draw; value: rate.
    """

    certain: set[Arrived] = field(default_factory=set)
    possible: dict[Arrived, float] = field(default_factory=dict)


def random_acts(
    draws: Random, count: int, plain: Sequence[str], operations: Sequence[str]
) -> list[Act]:
    """Choose events and spans, numbered from 0."""
    numbers = iter(range(10 * count))
    return [
        _random_act(draws, numbers, plain, operations, depth=2) for _ in range(count)
    ]


def _random_act(
    draws: Random,
    numbers: Iterator[int],
    plain: Sequence[str],
    operations: Sequence[str],
    depth: int,
) -> Act:
    number = next(numbers)
    correlation_id = f"id-{draws.getrandbits(40)}" if draws.random() < 0.6 else ""
    if depth == 0 or draws.random() < 0.6:
        return Act(draws.choice(plain), number, correlation_id)
    inside = tuple(
        _random_act(draws, numbers, plain, operations, depth - 1)
        for _ in range(draws.randrange(3))
    )
    operation, fails = draws.choice(operations), draws.random() < 0.3
    return Act(operation, number, correlation_id, True, fails, inside)


def arriving(
    acts: Sequence[Act],
    fate_of: Callable[[str], Fate],
    own_rate: float,
    root_ids: Mapping[int, str],
) -> Expected:
    """Return what arrives at the hub of what a worker has done.

    Args:
        own_rate: the worker's own sampling rate.
        root_ids: the span ids that the worker gave to its outermost spans.
    """
    oracle = _Oracle(fate_of, own_rate)
    for act in acts:
        oracle.judge(act, "", root_ids.get(act.number, ""))
    return oracle.expected


class _Oracle:
    """Goes through the acts of one worker."""

    def __init__(self, fate_of: Callable[[str], Fate], own_rate: float) -> None:
        self.expected = Expected()
        self._fate_of = fate_of
        self._own_rate = own_rate

    def judge(self, act: Act, around: str, root_id: str) -> None:
        """Judge an act, with the correlation ID and the root span around it."""
        correlation_id = act.correlation_id or around
        if not act.is_span:
            self._event(act, correlation_id)
            return
        if correlation_id:
            self._span(act, draw_of(correlation_id))
        else:  # span ids are written with the high byte first, and hashed in memory
            self._span(act, draw_of_bytes(bytes.fromhex(root_id)[::-1]))
        for inner in act.inside:
            self.judge(inner, correlation_id, root_id)

    def _event(self, act: Act, correlation_id: str) -> None:
        rate = self._rate_of(act.name)
        if rate is None:
            return
        if not correlation_id and 0 < rate < 1:
            self.expected.possible[act.name, act.number, probability(rate)] = rate
        else:
            self._note(act.name, act, rate, draw_of(correlation_id))

    def _span(self, act: Act, draw: int) -> None:
        """Judge both events: the end follows the start, but for its own filter.

        A start that was filtered has decided nothing; and a rate of 1 for
        exceptions keeps all of them.
        """
        start = f"{act.name}.start"
        end = f"{act.name}.{'exception' if act.fails else 'stop'}"
        if self._fate_of(start) == DISABLED:
            return
        rate = self._rate_of(start)
        if rate is not None:
            self._note(start, act, rate, draw)
        own = self._rate_of(end)
        if own is None:
            return
        if rate is None or (act.fails and self._fate_of(end) == 1.0):
            rate = own
        self._note(end, act, rate, draw)

    def _rate_of(self, name: str) -> float | None:
        """Return the rate of a name; None: nothing of it may pass."""
        fate = self._fate_of(name)
        if fate == OWN:
            return self._own_rate
        return None if isinstance(fate, str) else fate

    def _note(self, name: str, act: Act, rate: float, draw: int) -> None:
        if keeps(rate, draw):
            self.expected.certain.add((name, act.number, probability(rate)))


def probability(rate: float) -> float:
    """Return what an event says that survived a rate."""
    return 1.0 - (threshold_of(rate) or 0) / 2**32
