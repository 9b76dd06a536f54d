"""The real ring against its executable model, under any sequence of acts.

A worker in a process of its own emits, is killed and is followed by the next; a
consumer in this process drains, settles, dies and comes back; a follower joins.
After each step everything that can be read of the ring is what the model says.
`make model EXAMPLES=1000` looks longer.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from shmtel import _ring
from support.home import HOME
from support.own_ring import decode
from support.program import fresh_namespace
from support.ring_emitting import THRESHOLDS, EmittingMachine, is_alive
from support.ring_events import CORRELATIONS, arguments_of, assert_same
from support.ring_layout import ControlZone, ProducerZone, offset_of
from support.ring_model import (
    DENIED,
    KEEP_NONE,
    PASS_MAX,
    REASONS,
    UNSET,
    Event,
)
from support.ring_worker import FIRST_EVENT, Nursery

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))
WORDS = (0, *THRESHOLDS, UNSET, KEEP_NONE, DENIED)
LOST_OVERWRITTEN, UNKNOWN_NAME = 18, 0xFFFFFFFF
seqs = st.sampled_from([-1, -1, 0]) | st.integers(0, 1 << 20)  # -1: the last one


def is_consumed(machine: Any) -> bool:
    """Say whether there is a consumer."""
    return machine.consumer is not None


class RingMachine(EmittingMachine):
    """Workers, one place for a consumer, and one for a follower."""

    def teardown(self) -> None:
        """Read the ring to its end, whatever has happened."""
        if hasattr(self, "worker"):
            self.kill_worker()
            self._finish()

    # -- the consumer ------------------------------------------------------------

    def _attach(self) -> _ring.Consumer:
        if self.consumer is None:
            self.consumer = _ring.Consumer(os.dup(self.fd))
            self.consumer.allow_thresholds(THRESHOLDS)
            self.model.take_over()
        return self.consumer

    def _settle(self, seq: int) -> None:
        assert self.consumer is not None
        totals = [0] * 32
        totals[LOST_OVERWRITTEN] = self.model.lost(seq)
        totals[0] = seq - totals[LOST_OVERWRITTEN]
        self.consumer.settle(self.model.end_of(seq), seq, totals)

    def _drained(self, choice: int) -> int:
        """Choose one of the seqs between head and cursor."""
        model = self.model
        return model.head_seq + choice % (model.cursor_seq - model.head_seq + 1)

    @rule()
    def attach(self) -> None:
        """Let a consumer come, if there is none."""
        self._attach()

    @precondition(is_consumed)
    @rule(budget=st.sampled_from([0, 100, 30_000, 1 << 20]) | st.integers(0, 1 << 17))
    def drain(self, budget: int) -> None:
        """Take what there is, up to a budget."""
        assert self.consumer is not None
        before = self.model.cursor_seq
        overwritten, records = self.model.drain(budget)
        drained = self.consumer.drain(budget)
        if drained is None:
            assert records == []
            return
        lost = [(UNKNOWN_NAME, LOST_OVERWRITTEN, overwritten)]
        assert drained.counts == (lost if overwritten else [])
        assert (drained.seq_before, drained.seq_last) == (before, self.model.cursor_seq)
        assert drained.position == self.model.end_of(drained.seq_last)
        assert_same(decode(drained, self.consumer.names(0)), records)

    @precondition(is_consumed)
    @rule(choice=seqs)
    def settle(self, choice: int) -> None:
        """Release some of what was drained, or all."""
        seq = self._drained(choice)
        self._settle(seq)
        self.model.settle(seq)

    @precondition(is_consumed)
    @rule()
    def settle_all(self) -> None:
        """Release what was drained."""
        self._settle(self.model.cursor_seq)
        self.model.settle(self.model.cursor_seq)

    @precondition(is_alive)
    @rule(length=st.integers(200, 20_000))
    def go_round(self, length: int) -> None:
        """Let the ring be filled and emptied, so that its end is crossed."""
        self._attach()
        self.fill(length, 0)
        while self.model.cursor_seq < self.model.seq:
            self.drain(PASS_MAX)
        self.settle_all()

    @precondition(is_consumed)
    @rule()
    def rewind(self) -> None:
        """Go back to head."""
        assert self.consumer is not None
        self.consumer.rewind()
        self.model.rewind()

    @precondition(is_consumed)
    @rule(choice=seqs)
    def skip(self, choice: int) -> None:
        """Go on where the hub stands; nothing moves if it is ahead of the ring."""
        assert self.consumer is not None
        model = self.model
        more = choice % (model.seq - model.cursor_seq + 2)
        # To a record that is gone nobody can go; that it is gone, the next drain says.
        seq = max(model.cursor_seq + more, model.oldest_seq if more else 0)
        assert self.consumer.skip_to(seq) == model.skip_to(seq)

    @precondition(is_consumed)
    @rule(
        point=st.sampled_from(["idle", "slot", "index"]),
        choice=seqs,
        has_heir=st.booleans(),
    )
    def kill_consumer(self, point: str, choice: int, has_heir: bool) -> None:
        """Leave what a consumer leaves that is killed, also while it settles.

        A store that it did not come to is taken back.
        """
        assert self.consumer is not None
        self.drain(PASS_MAX)
        index, head = (self._control(field) for field in ("active_slot", "head"))
        seq = self._drained(choice)
        if point != "idle":
            self._settle(seq)
            self._poke("head", head, 8)
        if point == "slot":
            self._poke("active_slot", index, 4)
        if point == "index":
            self.model.head_seq = seq
        self.consumer.close()
        self.consumer = None
        if has_heir:
            self._attach()

    def _oldest(self) -> int:
        return self._peek(self.page_size + offset_of(ProducerZone, "oldest"), 8)

    def _control(self, field: str) -> int:
        size = getattr(ControlZone, field).size
        return self._peek(2 * self.page_size + offset_of(ControlZone, field), size)

    def _poke(self, field: str, value: int, size: int) -> None:
        offset = 2 * self.page_size + offset_of(ControlZone, field)
        os.pwrite(self.fd, value.to_bytes(size, "little"), offset)

    # -- control -----------------------------------------------------------------

    @precondition(is_consumed)
    @rule(choice=seqs, word=st.sampled_from(WORDS))
    def set_word(self, choice: int, word: int) -> None:
        """Give a name that is known a word."""
        assert self.consumer is not None
        event_id = choice % len(self.model.by_name)
        self.consumer.set_word(event_id, word)
        self.model.words[list(self.model.by_name)[event_id]] = word

    @precondition(is_consumed)
    @rule(word=st.sampled_from(WORDS))
    def set_default_word(self, word: int) -> None:
        """Give all others a word."""
        assert self.consumer is not None
        self.consumer.set_default_word(word)
        self.model.default_word = word

    @precondition(is_consumed)
    @rule(is_on=st.booleans())
    def toggle(self, is_on: bool) -> None:
        """Switch the worker off, or on again."""
        assert self.consumer is not None
        self.consumer.set_enabled(int(is_on))
        self.model.enabled = int(is_on)

    # -- a follower --------------------------------------------------------------

    @rule(at_end=st.booleans())
    def follow(self, at_end: bool) -> None:
        """Start to follow the ring, or start anew."""
        self.follower = _ring.Follower(self.fd, at_end=at_end)
        self.model.follow(at_end=at_end)

    @precondition(lambda self: self.follower is not None)
    @rule(budget=st.sampled_from([0, 5000, PASS_MAX]))
    def take(self, budget: int) -> None:
        """Let the follower read on; what it misses it counts."""
        assert self.follower is not None
        missed, records = self.model.take(budget)
        taken = self.follower.take(budget)
        if taken is None:
            assert (missed, records) == (0, [])
            return
        assert (taken.missed, taken.rejected) == (missed, 0)
        assert_same(decode(taken, self.follower.names(0)), records)

    @precondition(lambda self: is_alive(self) and self.follower is not None)
    @rule(lengths=st.lists(st.integers(200, 20_000), min_size=2, max_size=3))
    def overtake(self, lengths: list[int]) -> None:
        """Go round, and round again, before the follower looks."""
        for length in lengths:
            self.go_round(length)
        self.take(PASS_MAX)

    # -- ends --------------------------------------------------------------------

    @precondition(is_alive)
    @rule()
    def kill_worker(self) -> None:
        """Kill the worker; its ring is read on."""
        if self.worker is not None:
            self.worker.kill(self.fd)
            self.worker = None

    @precondition(lambda self: is_alive(self) and self.model.keeps_all_of(FIRST_EVENT))
    @rule(length=st.integers(60, 3000))
    def kill_worker_at_work(self, length: int) -> None:
        """Kill it somewhere in a row of emits: a whole prefix is there."""
        assert self.worker is not None
        event = self._padded(FIRST_EVENT, length, CORRELATIONS[0])
        count = (self.model.capacity - self.model.used) // event.size
        tail = self._tail()
        self.worker.start("emit", [arguments_of(event)] * count)
        self.worker.wait_for(lambda: self._tail() > tail)
        self.kill_worker()
        self.may_lag = True
        while count > 0 and self.model.tail < self._tail():
            count -= 1
            self.model.emit(event)
        if self._oldest() > self.model.end_of(self.model.oldest_seq):
            self.model.give_up_oldest()  # and wrote nothing there

    @precondition(lambda self: not is_alive(self))
    @rule()
    def succeed(self) -> None:
        """Finish the ring of a worker that is dead; the next one makes its own."""
        self._finish()
        self._bear()

    @precondition(is_alive)
    @rule(choice=seqs)
    def retire(self, choice: int) -> None:
        """Make the worker leave its ring for a new one.

        What stands past the end that the consumer has set nobody reads; the
        worker counts it when it leaves.
        """
        assert self.worker is not None
        consumer, old = self._attach(), self.model
        # A producer that overwrites never gives its newest record up.
        least = min(old.seq, max(old.cursor_seq, old.oldest_seq + self.overwrites))
        unread = choice % (old.seq - least + 1)
        consumer.tail()
        consumer.set_enabled(_ring.RING_RETIRED)
        consumer.set_final_tail(old.end_of(old.seq - unread))
        event = Event("a", {"n": 7}, None, CORRELATIONS[0])
        self.worker.call("emit", [arguments_of(event)])
        assert _ring.observe(self.fd)["counters"]["closed"]
        del old.records[old.seq - unread :]
        self._finish()
        self._look_at_ring(self.worker.ring_name())
        self.model.counts["no_ring"] = unread
        self.model.emit(event)

    def _finish(self) -> None:
        """Drain and settle a ring to its end, and remove it."""
        consumer = self._attach()
        while self.model.cursor_seq < self.model.seq:
            self.drain(1 << 20)
        assert consumer.drain(1 << 20) is None
        self.settle_all()
        assert consumer.settled_seq == sum(consumer.totals) == self.model.seq
        consumer.close()
        HOME.unlink(self.segment)
        os.close(self.fd)

    # -- what always holds -------------------------------------------------------

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        """Every counter, name, word and position; the first account."""
        seen, model = _ring.observe(self.fd), self.model
        counters, control = seen["counters"], seen["control"]
        assert (seen["tail"], control["head"]) == (model.tail, model.head)
        assert self._control("head") == model.shared_head
        assert self._oldest() == model.end_of(model.oldest_seq)
        assert seen["overwritten"] == model.oldest_seq
        assert control["head_seq"] == control["settled_seq"] == model.head_seq
        lag = model.seq - counters["committed"]
        assert lag in ((0, 1) if self.may_lag else (0,))
        left_out = [counters[key] for key in ("sampled_out", "filtered", "disabled")]
        dropped = counters["dropped"]
        assert {reason: dropped[reason] for reason in REASONS} == {
            reason: model.counts[reason] for reason in REASONS
        }
        emitted = model.seq + sum(left_out) + sum(dropped.values())
        assert emitted == model.calls + model.counts["no_ring"]
        assert left_out == [
            model.counts[key] for key in ("sampled_out", "filtered", "disabled")
        ]
        if not lag:
            assert counters["bytes"] == model.counts["bytes"]

    @invariant()
    def names_are_those_of_the_model(self) -> None:
        """In the order of their ids, with words and counters of their own."""
        model, events = self.model, _ring.observe(self.fd)["events"]
        assert [event["name"] for event in events] == list(model.by_name)
        for event in events:
            counts = model.by_name[event["name"]]
            assert event["word"] == model.word_of(event["name"])
            assert event["sampled_out"] == counts["sampled_out"]
            assert event["filtered"] == counts["filtered"]
            assert self.may_lag or event["committed"] == counts["committed"]
            assert event["dropped"] == {
                reason: counts[reason] for reason in event["dropped"]
            }

    @invariant()
    def what_can_be_read_is_the_queue(self) -> None:
        """Each record that is not released, whole and in order; the second account."""
        model, follower = self.model, _ring.Follower(self.fd)
        events, missed, seen_names = [], 0, follower.names(0)
        while (taken := follower.take(1 << 20)) is not None:
            events += decode(taken, seen_names)
            missed += taken.missed
        assert_same(events, model.records[max(model.head_seq, model.oldest_seq) :])
        settled = sum(_ring.observe(self.fd)["control"]["totals"])
        assert settled + missed + len(events) == model.seq

    @invariant()
    def high_water_is_sane(self) -> None:
        """It is the most that was in use, but for what came since a look."""
        high_water = _ring.observe(self.fd)["counters"]["high_water"]
        model = self.model
        # Where it overwrites it looks when it has given up what came since.
        unseen = model.largest * (2 if model.overwrites else 1)
        least = model.most_used - model.capacity // 16 - unseen
        assert least <= high_water <= model.most_used <= model.capacity


@pytest.fixture(scope="module", autouse=True)
def _nursery() -> Iterator[None]:
    with fresh_namespace() as namespace, Nursery(namespace) as nursery:
        RingMachine.nursery = nursery
        yield


TestRing = RingMachine.TestCase
TestRing.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=40, deadline=None
)
