"""Many globs against one text at once.

A policy may hold a thousand rules for sixty-four workers with hundreds of event
names each, and the collector has milliseconds to work out all of them. So rules
are numbered, and what matches is a set of numbers, held as the bits of an int:
each distinct glob meets a text once, whatever the number of its rules, and "the
last rule that selects the worker and matches the name" is a few operations on
ints.

Rules:
- as fnmatchcase: case-sensitive, `*` crosses dots;
- names come from workers, so what is remembered of them is bounded.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

from shmtel.policy.model import ANY

_TEXTS_REMEMBERED = 16_384
_PATTERNS_CACHED = 8_192
_SPECIAL = re.compile(r"[*?\[]")


class Globs:
    """Numbers under globs."""

    def __init__(self, globs: Iterable[tuple[str, int]] = ()) -> None:
        """Take globs, each with a number to find under it."""
        self._always = 0
        self._exact: dict[str, int] = {}
        patterns: dict[str, int] = {}
        for glob, number in globs:
            bit = 1 << number
            if glob == ANY:
                self._always |= bit
            elif _SPECIAL.search(glob) is None:
                self._exact[glob] = self._exact.get(glob, 0) | bit
            else:
                patterns[glob] = patterns.get(glob, 0) | bit
        self._patterns = [(_matcher(glob), bits) for glob, bits in patterns.items()]
        self._remembered: dict[str, int] = {}

    @property
    def always(self) -> int:
        """The numbers that any text matches."""
        return self._always

    def matching(self, text: str) -> int:
        """Return the numbers whose globs match, as bits."""
        bits = self._remembered.get(text)
        if bits is None:
            bits = self._always | self._exact.get(text, 0)
            for matches, numbers in self._patterns:
                if matches(text):
                    bits |= numbers
            if len(self._remembered) >= _TEXTS_REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = bits
        return bits


def numbers_of(bits: int) -> Iterable[int]:
    """Yield the numbers in a set, the greatest first."""
    while bits:
        number = bits.bit_length() - 1
        bits ^= 1 << number
        yield number


@lru_cache(_PATTERNS_CACHED)
def _matcher(glob: str) -> Callable[[str], object]:
    """Return what says whether a text matches; a regex takes long to make."""
    head, tail = glob[:-1], glob[1:]
    if glob.endswith("*") and _SPECIAL.search(head) is None:
        return lambda text: text.startswith(head)
    if glob.startswith("*") and _SPECIAL.search(tail) is None:
        return lambda text: text.endswith(tail)
    return re.compile(translate(glob)).match
