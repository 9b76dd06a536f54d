"""Checks of what was delivered: emitted, to the last byte, in order, and once."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from support.chaos.calls import CallLog, Fate
from support.chaos.history import History, Line
from support.chaos.payload import call_of, canonical
from support.chaos.promises import Promises


def emitted(history: History, _: Promises) -> Iterator[str]:
    """What was delivered was emitted, byte for byte."""
    if history.torn:
        yield f"{history.torn} lines of the sink are no events"
    for line in history.lines:
        log = history.calls.get(line.worker)
        if log is None:
            yield f"{line}: there was no such worker"
        elif not 0 <= line.index < len(log.fates):
            yield f"{line}: call {line.index} was never begun"
        elif log.fates[line.index] in (Fate.DROPPED, Fate.NO_RING):
            yield f"{line}: call {line.index} was dropped"
        else:
            yield from _as_emitted(line, log)


def _as_emitted(line: Line, log: CallLog) -> Iterator[str]:
    call = call_of(line.worker, line.index, log.largest_text)
    measurements = line.measurements if call.measurements is None else call.measurements
    expected = [call.event, measurements, call.metadata, call.correlation_id]
    found = [line.event, line.measurements, line.metadata, line.correlation_id]
    if canonical(expected) != canonical(found):
        yield f"{line}: {found} arrived, {expected} was emitted"


def in_order(history: History, _: Promises) -> Iterator[str]:
    """Each ring's events come in the order of seq, and that is the order of calls."""
    firsts = history.by_ring()
    last: dict[str, Line] = {}
    for line in history.lines:
        if firsts[line.ring_id][line.seq] is not line:
            continue  # a repetition is judged elsewhere
        before = last.get(line.ring_id)
        if before is not None and line.seq <= before.seq:
            yield f"{line} comes after seq {before.seq}"
        elif before is not None and line.index <= before.index:
            yield f"{line}: call {line.index} comes after call {before.index}"
        last[line.ring_id] = line


def rings_apart(history: History, _: Promises) -> Iterator[str]:
    """A worker has one ring after the other, never two at a time."""
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for lines in history.by_ring().values():
        indices = [line.index for line in lines.values()]
        worker = next(iter(lines.values())).worker
        ranges[worker].append((min(indices), max(indices)))
    for worker, found in ranges.items():
        found.sort()
        for (_first, end), (begin, _last) in pairwise(found):
            if begin <= end:
                yield f"{worker}: calls {begin} and {end} are in two rings crosswise"


def once_in_the_sink(history: History, _: Promises) -> Iterator[str]:
    """Nothing is in the sink twice: no seq of a ring, and no call."""
    firsts = history.by_ring()
    calls: set[tuple[str, int]] = set()
    for line in history.lines:
        if firsts[line.ring_id][line.seq] is not line:
            yield f"{line} is in the sink twice"
            continue
        if (line.worker, line.index) in calls:
            yield f"{line}: call {line.index} has arrived under another seq"
        calls.add((line.worker, line.index))


def once_at_the_handler(history: History, _: Promises) -> Iterator[str]:
    """A handler sees an event again only from another hub, and marked."""
    lives: dict[tuple[str, int], int] = {}
    for note in history.notes:
        for seq in note.seqs:
            before = lives.get((note.ring_id, seq))
            lives[note.ring_id, seq] = note.life
            name = f"seq {seq} of ring {note.ring_id[:8]}"
            if before == note.life:
                yield f"{name} came to the handler twice in one life of the hub"
            elif before is not None and seq > note.redelivered_through:
                yield f"{name} came to the handler again, and was not marked"
