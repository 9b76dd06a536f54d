"""Drawing: lines of a table from a snapshot, and the terminal they go to.

On a terminal the table is drawn again in place, below what was said; elsewhere
it is printed anew every few seconds. `table` is pure.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from shmtel.cli.common import format_table

_LIVE_S = 0.2
_PLAIN_S = 2.5
_ERASE_LINE_UP = "\x1b[1A\x1b[2K"
_HEADER = ("WORKER", "STATE", "FILES", "EVENTS", "EVENTS/S", "SAMPLED OUT", "DROPPED")


@dataclass(frozen=True, slots=True)
class Row:
    """One worker at one moment; counts are since its start."""

    worker_id: str
    state: str
    files: int
    events: int
    events_per_s: float
    sampled_out: int
    dropped: int


def table(rows: Sequence[Row]) -> list[str]:
    """Draw the workers and their sums."""
    cells = [
        (
            *(row.worker_id, row.state, row.files, row.events),
            *(f"{row.events_per_s:.0f}", row.sampled_out, row.dropped),
        )
        for row in rows
    ]
    total = (
        *("all", "", sum(row.files for row in rows), sum(row.events for row in rows)),
        f"{sum(row.events_per_s for row in rows):.0f}",
        *(sum(row.sampled_out for row in rows), sum(row.dropped for row in rows)),
    )
    return format_table(_HEADER, [*cells, total])


class Screen:
    """A terminal, or a file that is written like one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._drawn: list[str] = []
        self._next_s = 0.0

    def say(self, text: str) -> None:
        """Print a line that stays, above the table."""
        drawn, self._drawn = self._drawn, []
        self._stream.write(_ERASE_LINE_UP * len(drawn) + text + "\n")
        self._draw(drawn)

    def show(self, rows: Sequence[Row]) -> None:
        """Draw the table, unless the last drawing is too recent."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + (_LIVE_S if self._is_live else _PLAIN_S)
        self._stream.write(_ERASE_LINE_UP * len(self._drawn))
        self._draw(table(rows))

    def leave_table(self) -> None:
        """Let the table stand as it is; what follows goes below it."""
        self._drawn = []
        self._next_s = 0.0

    def _draw(self, lines: list[str]) -> None:
        self._stream.writelines(f"{line}\n" for line in lines)
        self._stream.flush()
        self._drawn = lines if self._is_live else []
