"""What tests of the collector's judgement share: a ring with the events of a
span beside a plain one, and ways to judge, fill and drain it.
"""

from typing import Any

import msgpack

from shmtel._ring import (
    EVENT_EXCEPTION,
    EVENT_PLAIN,
    EVENT_START,
    EVENT_STOP,
    WORD_UNSET,
    Consumer,
    Drained,
)
from support.ring_builder import RingBuilder

PLAIN, START, STOP, EXCEPTION = range(4)
NAMES = ("a.b", "s.start", "s.stop", "s.exception")
KINDS = bytes((EVENT_PLAIN, EVENT_START, EVENT_STOP, EVENT_EXCEPTION))
SAMPLED_OUT, FILTERED, DISABLED = 1, 2, 3
UNKNOWN_NAME, BAD_THRESHOLD = 9, 10
NOT_KNOWN = 2**32 - 1


def judge(consumer: Consumer, *words: int, is_on: bool = True) -> None:
    """Set the words of the first events; those of the others are unset."""
    unset = [WORD_UNSET] * (len(KINDS) - len(words))
    consumer.set_judgement(is_on=is_on, words=[*words, *unset], kinds=KINDS)


def append(
    ring: RingBuilder,
    event_id: int,
    draw: int,
    span: bytes | None = None,
    threshold: int = 0,
) -> None:
    """Commit an event of which only this matters."""
    ring.append(event_id, None, {}, None, span, draw=draw, threshold=threshold)


def span_of(number: int) -> bytes:
    """Return the field of an event of a span."""
    return number.to_bytes(8, "big") + bytes(8)


def drain(consumer: Consumer, budget: int = 1 << 20) -> Drained:
    """Take one pass, and see that every event of it is accounted for."""
    drained = consumer.drain(budget)
    assert drained is not None
    counted = sum(count[2] for count in drained.counts)
    assert drained.delivered + counted == drained.seq_last - drained.seq_before
    return drained


def kept(drained: Drained) -> list[tuple[int, int]]:
    """Return event id and threshold of each delivered event."""
    events: list[list[Any]] = msgpack.unpackb(drained.events)
    assert len(events) == drained.delivered
    return [(event[0], event[3]) for event in events]


def settle(consumer: Consumer, drained: Drained) -> None:
    """Settle up to the end of a pass."""
    totals = [drained.seq_last] + [0] * 31
    consumer.settle(drained.position, drained.seq_last, totals)
