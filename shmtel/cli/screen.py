"""A terminal that is drawn over in place, or a file that is added to.

Rules:
- nothing of the terminal is changed that would have to be restored: no cursor is
  hidden, no other screen is opened, no colour is set;
- lines never reach the right edge or the lower one, or erasing would miss some;
- any thread may say something meanwhile.
"""

import os
import shutil
import threading
from typing import TextIO

_ERASE_LINE_UP = "\x1b[1A\x1b[2K"


class Screen:
    """Where a table is shown again and again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_live = stream.isatty()
        self._lock = threading.Lock()
        self._drawn: list[str] = []

    def show(self, lines: list[str]) -> None:
        """Put lines in the place of those before."""
        with self._lock:
            if self.is_live:
                lines = self._fitted(lines)
                self._erase()
            elif self._drawn:
                self._stream.write("\n")
            self._draw(lines)

    def say(self, text: str) -> None:
        """Write something that stays, above what is shown."""
        with self._lock:
            drawn = self._drawn
            if self.is_live:
                self._erase()
            self._stream.write(f"{text}\n")
            self._draw(drawn if self.is_live else [])

    def leave(self) -> None:
        """Let what is shown stand; what follows goes below it."""
        with self._lock:
            self._drawn = []

    @property
    def columns(self) -> int:
        """How wide it is now."""
        return self._size().columns

    def _fitted(self, lines: list[str]) -> list[str]:
        size = self._size()
        hidden = len(lines) - (size.lines - 1)
        if hidden > 0:
            lines = [*lines[: size.lines - 2], f"... and {hidden + 1} lines more"]
        return [line[: size.columns - 1] for line in lines]

    def _size(self) -> os.terminal_size:
        """Return what the environment says, or stdout, or the stream itself."""
        try:
            own = os.get_terminal_size(self._stream.fileno())
        except OSError:
            own = os.terminal_size((0, 0))
        return shutil.get_terminal_size((own.columns or 80, own.lines or 24))

    def _erase(self) -> None:
        self._stream.write(_ERASE_LINE_UP * len(self._drawn))

    def _draw(self, lines: list[str]) -> None:
        self._stream.writelines(f"{line}\n" for line in lines)
        self._stream.flush()
        self._drawn = lines
