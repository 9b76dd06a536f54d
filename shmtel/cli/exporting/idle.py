"""The lanes of a process where nothing is open.

A tournament: each node of a binary tree holds the earliest moment from which one of
the lanes below it is free. So the first lane that is free at a moment is found in as
many steps as the tree is high, however many there are that are not.
"""

from math import inf

_NEVER = inf  # of a lane where something is open, or that there is not


class Idle:
    """Lanes by their numbers, each with the moment when the last span there ended."""

    def __init__(self) -> None:
        self._room = 1
        self._free_from: list[float] = [_NEVER, _NEVER]  # the root is at 1

    def put(self, lane: int, ended_ns: int) -> None:
        """Say that nothing is open in a lane any more."""
        while lane >= self._room:
            self._grow()
        self._set(lane, ended_ns)

    def take_first(self, start_ns: int) -> int | None:
        """Take the first lane that is free at a moment; None if there is none."""
        if self._free_from[1] > start_ns:
            return None
        at = 1
        while at < self._room:
            at *= 2
            if self._free_from[at] > start_ns:
                at += 1
        lane = at - self._room
        self._set(lane, _NEVER)
        return lane

    def _set(self, lane: int, moment_ns: float) -> None:
        at = self._room + lane
        self._free_from[at] = moment_ns
        while at > 1:
            at //= 2
            self._free_from[at] = min(self._free_from[2 * at : 2 * at + 2])

    def _grow(self) -> None:
        """Make room for twice as many: what there is becomes the left half."""
        levels = [[self._free_from[1]]]
        width = 1
        while width <= self._room:
            left = self._free_from[width : 2 * width]
            levels.append(left + [_NEVER] * width)
            width *= 2
        self._room *= 2
        self._free_from = [_NEVER, *(moment for level in levels for moment in level)]
