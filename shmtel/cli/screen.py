"""A terminal that is drawn over in place, or a file that is added to.

Rules:
- nothing of the terminal is changed that would have to be restored: no cursor is
  hidden, no other screen is opened, no colour is set;
- lines never reach the right edge or the lower one, or erasing would miss some.
"""

import shutil
from typing import TextIO

_ERASE_LINE_UP = "\x1b[1A\x1b[2K"


class Screen:
    """Where a table is shown again and again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_live = stream.isatty()
        self._drawn = 0

    def show(self, lines: list[str]) -> None:
        """Put lines in the place of those before."""
        if self.is_live:
            size = shutil.get_terminal_size()
            hidden = len(lines) - (size.lines - 1)
            if hidden > 0:
                lines = [*lines[: size.lines - 2], f"... and {hidden + 1} lines more"]
            lines = [line[: size.columns - 1] for line in lines]
            self._stream.write(_ERASE_LINE_UP * self._drawn)
        elif self._drawn:
            self._stream.write("\n")
        self._stream.writelines(f"{line}\n" for line in lines)
        self._stream.flush()
        self._drawn = len(lines)
