"""The half of the ring's state machine that emits.

Each rule has the worker do something and the model do the same. Whoever reads
the ring is in tests/model/test_ring_machine.py, and so is what must hold.
"""

import os
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from shmtel import _ring
from support.home import HOME
from support.ring_events import (
    CORRELATIONS,
    NO_EVENTS,
    arguments_of,
    padded,
    span_ends,
    span_start,
)
from support.ring_layout import ProducerZone, offset_of
from support.ring_model import Event, RingModel
from support.ring_worker import FIRST_EVENT, Nursery, Worker

THRESHOLDS = (1, 1 << 31, 0xFFFFFFEF)
names = st.sampled_from(("a", "a.b", "n\u00e4me", "long." + "x" * 250))
correlations = st.sampled_from(CORRELATIONS)


def is_alive(machine: Any) -> bool:
    """Say whether there is a worker."""
    return machine.worker is not None


class EmittingMachine(RuleBasedStateMachine):
    """A line of workers, one at a time, and the model of the last one's ring."""

    nursery: Nursery

    @initialize(size=st.sampled_from([64, 64, 512]), overwrites=st.booleans())
    def make(self, size: int, overwrites: bool) -> None:
        """Let the first worker make its ring."""
        self.size, self.overwrites = size, overwrites
        self._bear()

    def _bear(self) -> None:
        self.worker: Worker | None = self.nursery.fork(
            SHMTEL_RING_SIZE=f"{self.size}KiB",
            SHMTEL_OVERFLOW="overwrite" if self.overwrites else "drop",
        )
        self._look_at_ring(self.worker.ring_name())
        self.model.emit(Event(FIRST_EVENT, {}, slack=2))

    def _look_at_ring(self, segment: str) -> None:
        self.model = RingModel(self.size << 10, self.overwrites)
        self.segment = segment
        self.fd = HOME.open(segment, writable=True)
        self.page_size = _ring.observe(self.fd)["identity"]["page_size"]
        self.consumer: _ring.Consumer | None = None
        self.follower: _ring.Follower | None = None
        self.may_lag = False  # the counters, by one call

    def _peek(self, offset: int, size: int) -> int:
        return int.from_bytes(os.pread(self.fd, size, offset), "little")

    def _tail(self) -> int:
        return self._peek(self.page_size + offset_of(ProducerZone, "tail"), 8)

    # -- the producer ------------------------------------------------------------

    def _emit(self, *events: Event) -> None:
        assert self.worker is not None
        self.worker.call("emit", [arguments_of(event) for event in events])
        for event in events[:-1]:
            self.model.emit(event)
        self.model.emit(events[-1], tail=self._tail())

    def _padded(self, name: str, length: int, correlation_id: str) -> Event:
        return padded(name, self.model.calls, length, correlation_id)

    @precondition(is_alive)
    @rule(name=names)
    def emit_smallest(self, name: str) -> None:
        """Emit the smallest event that a policy cannot make a gamble of."""
        by_chance = self.model.word_of(name) in THRESHOLDS
        correlation_id = CORRELATIONS[0] if by_chance else None
        self._emit(Event(name, {}, None, correlation_id, slack=2))

    @precondition(is_alive)
    @rule(
        name=names,
        length=st.integers(32, 400) | st.integers(32, 70_000),
        correlation_id=correlations,
    )
    def emit(self, name: str, length: int, correlation_id: str) -> None:
        """Emit an event of some size."""
        self._emit(self._padded(name, length, correlation_id))

    @precondition(is_alive)
    @rule(name=names, more=st.sampled_from([-8, -1, 0, 0, 1, 8]))
    def emit_at_the_edge(self, name: str, more: int) -> None:
        """Emit what exactly fits, or not by a little."""
        length = self.model.room - 8 + more
        self._emit(self._padded(name, length, CORRELATIONS[0]))

    @precondition(is_alive)
    @rule(length=st.integers(200, 20_000), left=st.sampled_from([0, 0, 1, 3]))
    def fill(self, length: int, left: int) -> None:
        """Emit until there is no room for one more, or for a few; or go round."""
        event = self._padded("fill", length, CORRELATIONS[0])
        used = 0 if self.overwrites else self.model.used
        count = (self.model.capacity - used) // event.size - left
        self._emit(*[event] * min(max(count, 1), 300))

    @precondition(is_alive)
    @rule(length=st.integers(200, 20_000), more=st.sampled_from([-1, 0, 0, 1]))
    def fill_to_the_brim(self, length: int, more: int) -> None:
        """Then emit what exactly fits in what is left, or does not by a little."""
        self.fill(length, 0)
        self.emit_at_the_edge("fill", more)

    @precondition(is_alive)
    @rule(count=st.sampled_from([1, 30, 1100]), length=st.sampled_from([8, 60, 255]))
    def emit_under_new_names(self, count: int, length: int) -> None:
        """Use up the table of names, or its text."""
        first = self.model.calls
        self._emit(
            *(
                self._padded(f"{number:x}.".ljust(length, "z"), 60, CORRELATIONS[1])
                for number in range(first, first + count)
            )
        )

    @precondition(lambda self: is_alive(self) and self._is_roomy())
    @rule(number=st.integers(0, len(NO_EVENTS) - 1))
    def emit_what_is_no_event(self, number: int) -> None:
        """Call with arguments that are not an event's."""
        assert self.worker is not None
        arguments, event = NO_EVENTS[number]
        self.worker.call("emit", [arguments])
        self.model.emit(event)

    def _is_roomy(self) -> bool:
        return self.model.room >= self.model.largest

    @precondition(is_alive)
    @rule(
        operation=st.sampled_from(["job", "step", "y" * 245, "y" * 250]),
        correlation_id=correlations,
        fails=st.booleans(),
        padding=st.sampled_from([0, 0, 300, 16_300]),
    )
    def span(
        self, operation: str, correlation_id: str, fails: bool, padding: int
    ) -> None:
        """Have a span begin and end, well or not."""
        assert self.worker is not None
        metadata: dict[str, Any] = {"p": bytes(padding)}
        self.worker.call("span", operation, metadata, correlation_id, fails)
        if self.model.enabled:
            self.model.register_span(operation)
        start = span_start(operation, metadata, correlation_id)
        outcome = self.model.emit(start)
        threshold = self.model.word_of(start.name)
        ends = list(span_ends(operation, metadata, correlation_id, fails=fails))
        seen = self._tail(), _ring.observe(self.fd)["counters"]["bytes"]
        # The longest, where none was placed.
        end = next((end for end in ends if self.model.after(end) == seen), ends[-1])
        self.model.emit_end(end, outcome, threshold)

    @precondition(is_alive)
    @rule()
    def ask_the_worker(self) -> None:
        """Compare what the worker says of itself; its look refreshes its head."""
        assert self.worker is not None
        model, stats = self.model, self.worker.call("stats")
        assert stats["emitted"] == model.calls + model.counts["no_ring"]
        model.give_up_oldest()
        assert stats["used_bytes"] == model.used
        assert stats["used_bytes"] <= stats["high_water_bytes"] <= model.most_used
        assert stats["names"] == len(model.by_name)
        assert stats["capacity_bytes"] == model.capacity
