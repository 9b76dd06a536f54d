"""What workers do in the tests of control, and what of it is to arrive.

Every act is known from a seed alone, so that the worker that does it and the
test that judges it need not talk about it. What is to arrive is said by the
naive model of policies, event by event.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shmtel.policy.model import Layer, Traits
from support.policy_model import (
    DENIED,
    OWN,
    Fate,
    draw_of,
    fate,
    is_on,
    keeps,
    threshold_of,
)

FAMILIES = ("cache", "db", "http", "io", "job", "llm", "tool", "ui")
PLAIN = tuple(f"{family}.op{n}.tick" for family in FAMILIES for n in range(20))
SPANS = tuple(f"{family}.task{n}" for family in FAMILIES for n in range(4))
USUAL, ALL, CALM, FRESH = "usual", "all", "calm", "fresh"
MOMENTS = ("start", "stop", "exception")
NAMES = (*PLAIN, *(f"{span}.{moment}" for span in SPANS for moment in MOMENTS))


@dataclass(frozen=True, slots=True)
class Act:
    """A plain event, or a span that ends well or badly. `number` tells acts apart."""

    number: int
    name: str
    correlation_id: str | None
    is_span: bool = False
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """One event that an act makes.

    Attributes:
        arrives: None: by chance, with this probability.
        with_event: name of another event of the act that arrives exactly if this
            one does; empty: none.
    """

    number: int
    name: str
    arrives: bool | None
    probability: float = 1.0
    with_event: str = ""


def acts_of(seed: int, round_: int, worker: int, style: str = USUAL) -> list[Act]:
    """Return what a worker does in a round, with and without correlation IDs.

    Args:
        style: USUAL: every name, and some spans fail; ALL: and every span does both;
            CALM: no span fails; FRESH: that too, with names never used before.
    """
    fresh = style == FRESH
    draws = random.Random(f"{seed}/{round_}/{worker}")
    shared = [f"id-{seed}-{round_}-{n}" for n in range(64)]
    mark = f"new{round_}." if fresh else ""
    plain = draws.sample(PLAIN, 12) if fresh else PLAIN
    spans = draws.sample(SPANS, 4) if fresh else SPANS
    kinds = [(name, False) for name in plain] + [(name, True) for name in spans]
    wishes = [
        (mark + name, is_span, correlation_id)
        for name, is_span in kinds
        for correlation_id in (draws.choice(shared), draws.choice(shared), None)
    ]
    draws.shuffle(wishes)
    # Whether the first exception of a worker's operation is kept is decided before
    # anybody could have judged its name; it is not part of what is exact.
    return [
        Act(n, name, cid, is_span, is_span and _fails(draws, style, cid))
        for n, (name, is_span, cid) in enumerate(wishes, round_ * 10_000)
    ]


def _fails(draws: random.Random, style: str, correlation_id: str | None) -> bool:
    by_chance = draws.random() < 0.3
    return {USUAL: by_chance, ALL: correlation_id is None}.get(style, False)


def do(act: Act) -> None:
    """Do it, in a worker."""
    import shmtel

    if not act.is_span:
        shmtel.emit(act.name, {"n": act.number}, None, act.correlation_id)
        return
    try:
        with shmtel.span(act.name, {"n": act.number}, act.correlation_id):
            if act.fails:
                raise LookupError
    except LookupError:
        pass


def expected_of(
    act: Act, layers: Sequence[Layer], traits: Traits, now_ns: int
) -> Iterator[Expected]:
    """Say for each event of an act whether it arrives, and how probable that was."""

    def of(name: str) -> Fate:
        return fate(layers, traits, name, now_ns)

    if not act.is_span:
        yield _alone(act, act.name, of(act.name))
        return
    start = f"{act.name}.start"
    end = f"{act.name}.{'exception' if act.fails else 'stop'}"
    if not is_on(layers, traits, now_ns):
        yield Expected(act.number, start, False)
        yield Expected(act.number, end, False)
        return
    yield _alone(act, start, of(start))
    yield _end(act, start, end, of(start), of(end))


def _end(act: Act, start: str, end: str, at_start: Fate, at_end: Fate) -> Expected:
    if at_end == DENIED:
        return Expected(act.number, end, False)
    if at_start == DENIED:  # nothing was decided, so its own word counts
        return _alone(act, end, at_end)
    if act.fails and isinstance(at_end, float) and threshold_of(at_end) == 0:
        return Expected(act.number, end, True)  # all exceptions are kept
    decided = _alone(act, start, at_start)
    tied = start if decided.arrives is None else ""
    return Expected(act.number, end, decided.arrives, decided.probability, tied)


def _alone(act: Act, name: str, found: Fate) -> Expected:
    if found == OWN:
        return Expected(act.number, name, True)
    if not isinstance(found, float):
        return Expected(act.number, name, False)
    threshold = threshold_of(found)
    if threshold is None:
        return Expected(act.number, name, False)
    probability = 1 - threshold / 2**32
    if threshold == 0:
        return Expected(act.number, name, True)
    if act.correlation_id is None:
        return Expected(act.number, name, None, probability)
    kept = keeps(found, draw_of(act.correlation_id))
    return Expected(act.number, name, kept, probability)
