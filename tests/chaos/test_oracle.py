"""The oracle on histories made by hand: it is silent, or says what is wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.chaos.actor import End
from support.chaos.calls import Fate
from support.chaos.faults import FullDisk
from support.chaos.histories import (
    FATES,
    RINGS,
    clean_history,
    line_of,
    row_of,
    with_calls,
    with_row,
)
from support.chaos.history import FRESH, History
from support.chaos.notes import Note
from support.chaos.oracle import SHOWN, judge
from support.chaos.promises import Promises

PROMISES = Promises(delivered=30)


def test_nothing_is_wrong_with_a_run_in_which_nothing_went_wrong() -> None:
    """The history that all others here are made from is clean."""
    assert judge(clean_history(), PROMISES) == []


def _without_line(history: History, place: int) -> History:
    lines = [*history.lines[:place], *history.lines[place + 1 :]]
    return replace(history, lines=lines)


def _missing(history: History) -> History:
    return _without_line(history, 3)


def _missing_from_all(history: History) -> History:
    """The last event of a worker is delivered nowhere, and nobody counts it."""
    rest = _without_line(history, FATES["w1"].count(Fate.COMMITTED) - 1)
    return with_row(rest, "w1", committed=27, delivered=27, emitted=29)


def _counted_without_cause(history: History) -> History:
    rest = _without_line(history, 3)
    return with_row(rest, "w1", delivered=27, rejected={"malformed": 1})


def _twice(history: History) -> History:
    return replace(history, lines=[*history.lines, replace(history.lines[3])])


def _two_seqs(history: History) -> History:
    again = replace(history.lines[3], seq=29)
    more = replace(history, lines=[*history.lines, again])
    return with_row(more, "w1", committed=29, delivered=29)


def _order(history: History) -> History:
    first, second, *rest = history.lines
    return replace(history, lines=[second, first, *rest])


def _order_of_calls(history: History) -> History:
    first, second, *rest = history.lines
    swapped = [replace(second, seq=first.seq), replace(first, seq=second.seq)]
    return replace(history, lines=[*swapped, *rest])


def _changed(history: History) -> History:
    first, *rest = history.lines
    spoiled = replace(first, metadata={**first.metadata, "float": 1})
    return replace(history, lines=[spoiled, *rest])


def _number_of_another_kind(history: History) -> History:
    first, *rest = history.lines
    spoiled = replace(first, measurements={**first.measurements, "i": 0.0})
    return replace(history, lines=[spoiled, *rest])


def _never_begun(history: History) -> History:
    more = [*history.lines, line_of("w1", 900, 29)]
    return with_row(replace(history, lines=more), "w1", committed=29, delivered=29)


def _dropped_and_delivered(history: History) -> History:
    more = [*history.lines, line_of("w1", 20, 29)]
    return with_row(replace(history, lines=more), "w1", committed=29, delivered=29)


def _unknown_worker(history: History) -> History:
    first, *rest = history.lines
    return replace(history, lines=[replace(first, worker="nobody"), *rest])


def _unbalanced(history: History) -> History:
    return with_row(history, "w2", unaccounted=1)


def _left_over(history: History) -> History:
    return with_row(history, "w2", in_ring=1)


def _drops_forgotten(history: History) -> History:
    return with_row(history, "w1", dropped={"ring_full": 1})


def _commits_invented(history: History) -> History:
    return with_calls(history, "w1", FATES["w1"][:-1])


def _ring_forgotten(history: History) -> History:
    rows = [row for row in history.ledger["rings"] if row["worker_id"] != "w2"]
    return replace(history, ledger={**history.ledger, "rings": rows})


def _calls_without_end(history: History) -> History:
    return with_calls(history, "w2", (*FATES["w2"], Fate.BEGUN))


def _handler_twice(history: History) -> History:
    return replace(history, notes=[*history.notes, history.notes[0]])


def _handler_again_unmarked(history: History) -> History:
    return replace(history, notes=[*history.notes, replace(history.notes[0], life=2)])


def _two_rings_crosswise(history: History) -> History:
    lines = [
        replace(line, ring_id="cc" * 16) if line.seq == 5 else line
        for line in history.lines
    ]
    return replace(history, lines=lines)


def _hub_ended(history: History) -> History:
    return replace(history, ends=[End("hub", 2, 1, 5, is_wanted=False)])


def _not_fresh(history: History) -> History:
    lines = [line for line in history.lines if line.worker != FRESH]
    return replace(history, lines=lines)


def _torn(history: History) -> History:
    return replace(history, torn=1)


def _no_faults(history: History) -> History:
    return replace(history, faults={"kill_hub": 0})


def _no_rest(history: History) -> History:
    return replace(history, is_quiet=False)


def _few(history: History) -> History:
    return replace(history, lines=history.lines[:29])


def _unreadable(history: History) -> History:
    ledger = {**history.ledger, "refused": {"shmtel.x": "geometry"}}
    return replace(history, ledger=ledger)


def _alarm(history: History) -> History:
    return replace(history, alarms=["hub.log: Traceback"])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_missing, "28 delivered, 27 arrived"),
        (_missing_from_all, "28 committed, and 27 in the ledger"),
        (_counted_without_cause, "left out as malformed"),
        (_twice, "in the sink twice"),
        (_two_seqs, "under another seq"),
        (_order, "comes after seq 2"),
        (_order_of_calls, "call 0 comes after call 1"),
        (_changed, "was emitted"),
        (_number_of_another_kind, "was emitted"),
        (_never_begun, "never begun"),
        (_dropped_and_delivered, "call 20 was dropped"),
        (_unknown_worker, "no such worker"),
        (_unbalanced, "1 unaccounted"),
        (_left_over, "1 in_ring at the end"),
        (_drops_forgotten, "2 dropped, and 1 in the ledger"),
        (_commits_invented, "27 committed, and 28 in the ledger"),
        (_ring_forgotten, "have delivered 12 events, and 0 are counted"),
        (_calls_without_end, "2 calls have begun"),
        (_handler_twice, "twice in one life"),
        (_handler_again_unmarked, "not marked"),
        (_two_rings_crosswise, "in two rings crosswise"),
        (_hub_ended, "life 2 of the hub ended with 1"),
        (_not_fresh, "3 of 3 fresh events did not arrive"),
        (_torn, "1 lines of the sink"),
        (_no_faults, "never did"),
        (_no_rest, "did not come to rest"),
        (_few, "only 29 events"),
        (_unreadable, "cannot be read: geometry"),
        (_alarm, "Traceback"),
    ],
)
def test_what_is_wrong_is_said(spoil: Callable[[History], History], words: str) -> None:
    """Each way to spoil the clean history is noticed, and named."""
    found = judge(spoil(clean_history()), PROMISES)
    assert any(words in flaw for flaw in found), found


def test_the_last_call_of_a_killed_worker_may_have_gone_either_way() -> None:
    """Recorded and delivered, or never come to that: both are right."""
    more = [*clean_history().lines, line_of("w2", 13, 13)]
    recorded = replace(clean_history(), lines=more)
    assert judge(with_row(recorded, "w2", committed=13, delivered=13), PROMISES) == []


def test_a_repetition_at_the_handler_is_right_when_it_is_marked() -> None:
    """The next life of the hub may deliver again what it says it does."""
    again = Note(2, 9, RINGS["w1"], (27, 28), redelivered_through=28)
    history = clean_history()
    assert judge(replace(history, notes=[*history.notes, again]), PROMISES) == []


def test_what_had_no_ring_at_the_end_may_be_counted_nowhere() -> None:
    """A process that dies before it has a ring takes those counts with it."""
    fates = (*FATES["w1"], Fate.NO_RING, Fate.NO_RING)
    assert judge(with_calls(clean_history(), "w1", fates), PROMISES) == []


def test_what_was_evicted_is_counted_without_a_name() -> None:
    """A row that stands for many rings makes up for a ring that is gone."""
    history = clean_history()
    gone = row_of("w2", ring_id="", worker_id="1 rings", state="evicted", delivered=2)
    gone["lost"] = {"evicted": gone["committed"] - 2}
    rows = [row for row in history.ledger["rings"] if row["worker_id"] != "w2"]
    evicted = replace(
        history,
        lines=[line for line in history.lines if line.worker != "w2" or line.seq < 3],
        ledger={**history.ledger, "rings": [*rows, gone]},
    )
    assert judge(evicted, PROMISES) == []


def test_what_was_under_way_when_it_was_evicted_may_have_arrived() -> None:
    """It counts as lost, for want of an answer; nothing beyond it does."""
    lost = {"evicted": 10}
    history = with_row(clean_history(), "w1", lost=lost, delivered=18, state="evicted")
    assert judge(history, PROMISES) == []
    assert judge(with_row(history, "w1", delivered=17), PROMISES) != []


def test_a_full_disk_excuses_the_end_of_its_program() -> None:
    """And of no other one."""
    ended = replace(
        clean_history(),
        ends=[End("hub", 2, 1, 5, is_wanted=False)],
        full=[FullDisk("fill_hub_disk", 1, 9)],
    )
    assert judge(ended, PROMISES) == []
    other = replace(ended, full=[FullDisk("fill_shared_memory", 1, 9)])
    assert judge(other, PROMISES) == ["life 2 of the hub ended with 1"]


def test_much_of_the_same_is_said_briefly() -> None:
    """A run gone wrong is not a book."""
    history = replace(clean_history(), lines=[])
    flaws = judge(with_row(history, "w1", in_ring=1), PROMISES)
    assert len(flaws) < 5 * SHOWN
