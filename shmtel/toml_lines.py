"""Where things stand in a TOML document, for errors about what they mean.

tomllib tells the line of what it cannot read, and nothing of what it could. So a
document that was read is cut into its statements here: a header, or a key with its
value. A statement is the least number of lines that tomllib reads by itself, which
keeps every question of grammar with tomllib.

Rules: for documents that tomllib has read; it takes its time, so only once
something is wrong.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Where = tuple[str | int, ...]  # the keys and indexes that lead to a value

_ENDS = re.compile("[]}]|\"\"\"|'''")  # what takes several lines ends with one


class TomlLines:
    """The lines of a document."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Where, int] = {}
        lines = text.split("\n")
        table: Where = ()
        start = 0
        while start < len(lines):
            end, statement = _statement(lines, start)
            if lines[start].lstrip().startswith("["):
                table = self._table(statement)
                self._lines.setdefault(table, start + 1)
            elif statement:
                for where, line in _places(statement, table, lines[:end], start):
                    self._lines.setdefault(where, line + 1)
            start = end

    def line_of(self, where: Where) -> int:
        """Return the line of a value, or of the nearest thing around it; from 1."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where, 1)

    def _table(self, header: Any) -> Where:
        """Return what a header names; an element that is new to its list, by index."""
        where: Where = ()
        while header:
            if isinstance(header, list):
                header = header[0]
                index = 0
                while (*where, index) in self._lines:
                    index += 1
                where = (*where, index)
            else:
                ((key, header),) = header.items()
                where = (*where, key)
        return where


def _statement(lines: list[str], start: int) -> tuple[int, dict[str, Any]]:
    """Return where a statement ends, and what it says."""
    for end in range(start + 1, len(lines) + 1):
        if end > start + 1 and not _ENDS.search(lines[end - 1]):
            continue
        try:
            return end, tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue  # its value goes on
    return len(lines), {}


def _places(
    value: Any, where: Where, lines: list[str], line: int
) -> Iterator[tuple[Where, int]]:
    """Yield what a statement holds, each with the line on which its text is found."""
    parts: list[tuple[str | int, tuple[str, ...], Any]]
    if isinstance(value, dict):
        parts = [(key, (key,), item) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [(index, _forms(item), item) for index, item in enumerate(value)]
    else:
        return
    for key, texts, item in parts:
        line = next(
            (n for n in range(line, len(lines)) if any(t in lines[n] for t in texts)),
            line,
        )
        yield (*where, key), line
        yield from _places(item, (*where, key), lines, line)


def _forms(item: object) -> tuple[str, ...]:
    """Return how an element of a list may be written."""
    return (f'"{item}"', f"'{item}'") if isinstance(item, str) else (str(item),)
