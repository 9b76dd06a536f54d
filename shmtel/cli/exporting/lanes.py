"""Spans of one process laid out in lanes.

A trace viewer draws what one thread did as a stack: of two spans in one lane either
the one holds the other or they do not overlap. What a worker does in many threads or
tasks at once therefore gets as many lanes as it takes.

A span begins on top of its parent, or in a lane where nothing is open. One that goes
on when its parent has ended moves to another lane; it is drawn when it ends, so
nothing has been said of where it was.

Rules:
- times are those of clocks that may step back: what would overlap gets another lane,
  and a span is made as long as what it holds.
"""

from dataclasses import dataclass, field
from typing import Any

from shmtel.cli.exporting.idle import Idle


@dataclass(slots=True, eq=False)
class OpenSpan:
    """A span that has begun."""

    name: str
    start_ns: int
    span_id: str
    parent_id: str | None
    arguments: dict[str, Any]
    lane: int = 0
    inner_ns: int = field(init=False)  # when what it holds has ended, so far

    def __post_init__(self) -> None:
        self.inner_ns = self.start_ns


class Lanes:
    """The lanes of one process."""

    def __init__(self) -> None:
        self.open: dict[str, OpenSpan] = {}
        self._stacks: list[list[OpenSpan]] = []
        self._ended_ns: list[int] = []
        self._idle = Idle()

    def __len__(self) -> int:
        return len(self._stacks)

    def begin(self, span: OpenSpan) -> None:
        """Give a span its lane."""
        parent = self.open.get(span.parent_id or "")
        if parent is not None and self._can_hold(parent, span):
            span.lane = parent.lane
        else:
            span.lane = self._take_idle(span.start_ns)
        self._stacks[span.lane].append(span)
        self.open[span.span_id] = span

    def end(self, span: OpenSpan, end_ns: int) -> int:
        """End a span; return when it ends, which is after all that it holds."""
        end_ns = max(end_ns, span.inner_ns)
        stack = self._leave(span)
        self._ended_ns[span.lane] = max(self._ended_ns[span.lane], end_ns)
        if stack:
            stack[-1].inner_ns = max(stack[-1].inner_ns, end_ns)
        else:
            self._idle.put(span.lane, self._ended_ns[span.lane])
        return end_ns

    def abandon(self, span: OpenSpan) -> int:
        """Give a span up that may never end; return a lane that is its own for ever."""
        if self._leave(span):  # others are open there
            return self._take_new(span.start_ns)
        return span.lane

    def place(self, start_ns: int, end_ns: int) -> int:
        """Return a lane for a span whose beginning was not seen."""
        lane = self._take_idle(start_ns)
        self._ended_ns[lane] = end_ns
        self._idle.put(lane, end_ns)
        return lane

    def _can_hold(self, parent: OpenSpan, span: OpenSpan) -> bool:
        is_top = self._stacks[parent.lane][-1] is parent
        return is_top and span.start_ns >= parent.inner_ns

    def _leave(self, span: OpenSpan) -> list[OpenSpan]:
        """Take a span out of its stack, and what goes on to another lane."""
        del self.open[span.span_id]
        stack = self._stacks[span.lane]
        at = len(stack) - 1
        while stack[at] is not span:  # what began last mostly ends first
            at -= 1
        outliving = stack[at + 1 :]
        del stack[at:]
        if outliving:
            lane = self._take_idle(outliving[0].start_ns)
            for other in outliving:
                other.lane = lane
            self._stacks[lane] = outliving
        return stack

    def _take_idle(self, start_ns: int) -> int:
        """Return the first lane where nothing is open, or was at that time."""
        lane = self._idle.take_first(start_ns)
        return self._take_new(start_ns) if lane is None else lane

    def _take_new(self, start_ns: int) -> int:
        self._stacks.append([])
        self._ended_ns.append(start_ns)
        return len(self._stacks) - 1
