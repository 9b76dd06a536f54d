"""The rotated files of one file: their names and numbers.

Numbers count on and are never those of the clock, which can be set back: the order
of the numbers is the order of the lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DIGITS = 6
_TEMPORARY = ".tmp"


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotated file, in the form in which it was written or in another."""

    number: int
    path: Path
    is_plain: bool


class Chain:
    """What a file has been rotated to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        number = rf"(\d{{{_DIGITS},}})"
        columns = re.escape(_columns_suffix(path.suffix))
        forms = rf"({suffix}|{suffix}\.gz|{columns})"
        self._name = re.compile(rf"{stem}\.{number}{forms}")
        self._temporary = re.compile(
            rf"\.{stem}\.{number}{forms}\.[^.]*{re.escape(_TEMPORARY)}"
        )

    def files(self) -> list[Rotated]:
        """Return the rotated files, oldest first, each number once."""
        found: dict[int, Rotated] = {}
        for path, match in self._matches(self._name):
            rotated = Rotated(int(match[1]), path, match[2] == self._path.suffix)
            if rotated.is_plain or rotated.number not in found:
                found[rotated.number] = rotated
        return [found[number] for number in sorted(found)]

    def name(self, number: int) -> Path:
        """Return what a file is called that has just been rotated."""
        stem, suffix = self._path.stem, self._path.suffix
        return self._path.with_name(f"{stem}.{number:0{_DIGITS}}{suffix}")

    def next_number(self) -> int:
        """Return the number that comes after all that there are."""
        files = self.files()
        return files[-1].number + 1 if files else 1

    def all_forms(self, number: int) -> list[Path]:
        """Return the files of a number, whatever their form."""
        return [p for p, match in self._matches(self._name) if int(match[1]) == number]

    def abandoned(self) -> list[Path]:
        """Return what was begun and never finished."""
        return [path for path, _ in self._matches(self._temporary)]

    def _matches(self, name: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
        for path in self._path.parent.iterdir():
            match = name.fullmatch(path.name)
            if match is not None:
                yield path, match


def columns_of(rotated: Path) -> Path:
    """Return what a rotated file is called as columns."""
    suffix = "" if rotated.suffix[1:].isdigit() else rotated.suffix
    return rotated.with_name(
        rotated.name.removesuffix(suffix) + _columns_suffix(suffix)
    )


def _columns_suffix(suffix: str) -> str:
    """Return an ending that no file of the same stem and another suffix has."""
    return {".jsonl": ".parquet", "": ".lines.parquet"}.get(suffix, f"{suffix}.parquet")


def temporary(target: Path, token: str) -> Path:
    """Return where to write a file that shall appear when it is complete.

    Args:
        token: tells attempts apart, of which an earlier one may still write.
    """
    return target.with_name(f".{target.name}.{token}{_TEMPORARY}")
