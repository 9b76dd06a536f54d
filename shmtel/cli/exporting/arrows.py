"""Which span called which, over the borders of processes.

Two files of a host, or two hosts, do not tell in the order of time: a child may have
ended before anything is known of its parent. So both wait for each other, in bounded
numbers; what had to be forgotten has no arrow, and is counted.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

KNOWN_MAX = 20_000  # spans that have ended, and children that wait for a parent


@dataclass(frozen=True, slots=True)
class Drawn:
    """A span where it was drawn. The end of one that has none is None."""

    pid: int
    tid: int
    span_id: str
    start_ns: int
    end_ns: int | None = None

    def clamp(self, moment_ns: int) -> int:
        """Return the moment in the span that is next to one."""
        moment_ns = max(moment_ns, self.start_ns)
        return moment_ns if self.end_ns is None else min(moment_ns, self.end_ns)


Arrow = tuple[Drawn, Drawn]  # from parent to child


class Arrows:
    """Finds the pairs among the spans that are drawn."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Drawn] = OrderedDict()
        self._waiting: OrderedDict[str, list[Drawn]] = OrderedDict()
        self._waiting_count = 0
        self.forgotten = 0

    def add(self, span: Drawn, parent_id: str | None) -> Iterator[Arrow]:
        """Add a span; return the arrows that can be drawn now."""
        children = self._waiting.pop(span.span_id, [])
        self._waiting_count -= len(children)
        self._known[span.span_id] = span
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        yield from ((span, child) for child in children if child.pid != span.pid)
        if parent_id is None:
            return
        parent = self._known.get(parent_id)
        if parent is None:
            self._wait(span, parent_id)
        elif parent.pid != span.pid:
            yield parent, span

    def _wait(self, child: Drawn, parent_id: str) -> None:
        self._waiting.setdefault(parent_id, []).append(child)
        self._waiting_count += 1
        while self._waiting_count > KNOWN_MAX:
            _, children = self._waiting.popitem(last=False)
            self._waiting_count -= len(children)
            self.forgotten += len(children)
