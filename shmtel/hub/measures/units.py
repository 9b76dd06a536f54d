"""Units of measurements, and what they are converted to.

    unit="bytes"            # as measured
    unit="ns->s"            # measured in nanoseconds, told in seconds
    unit=("ns", "s")        # the same

Rules:
- a metric counts in the unit of its measurement, whose integers stay exact; only
  what is told is converted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

# By dimension, how many of the smallest unit each one is.
_DIMENSIONS: tuple[dict[str, int], ...] = (
    {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9},
    {
        **{"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9},
        **{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
    },
    {"percent": 1, "ratio": 100},
)
# What a name says of them, where that is another word.
_WORDS = {
    **{"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds"},
    **{"s": "seconds", "min": "minutes"},
    **{"kB": "kilobytes", "MB": "megabytes", "GB": "gigabytes"},
    **{"KiB": "kibibytes", "MiB": "mebibytes", "GiB": "gibibytes"},
}
_ARROW = "->"
_MICRO = str.maketrans("\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}", "uu")


@dataclass(frozen=True, slots=True)
class Unit:
    """What a measurement is in, and what it is told in; empty: a plain number."""

    measured: str = ""
    told: str = ""
    scale: Fraction = Fraction(1)  # told = measured * scale

    @property
    def word(self) -> str:
        """The unit that is told, as a word in a name."""
        return _WORDS.get(self.told, self.told)

    def convert(self, value: float) -> float:
        """Return a measured value in the unit that is told."""
        if self.scale == 1:
            return value
        try:
            return value * self.scale.numerator / self.scale.denominator
        except OverflowError:  # an integer beyond any float
            return float(value) * float(self.scale)

    def measured_bound(self, bound: float) -> float:
        """Return a bound that is given in the unit that is told, as it is measured."""
        exact = Fraction(repr(bound)) / self.scale
        return int(exact) if exact.denominator == 1 else float(exact)


def unit_of(text: str | Sequence[str]) -> Unit:
    """Read a unit: `"bytes"`, `"ns->s"`, or `("ns", "s")`.

    Raises:
        ValueError: it is none, or one cannot be converted to the other.
    """
    parts = text.split(_ARROW) if isinstance(text, str) else list(text)
    parts = [part.strip().translate(_MICRO) for part in parts]
    if len(parts) == 1:
        return Unit(_judged(parts[0]), parts[0])
    if len(parts) != 2:
        raise ValueError(f"{text!r} is no unit; write it as 'bytes' or 'ns->s'")
    measured, told = parts
    for units in _DIMENSIONS:
        if measured in units and told in units:
            return Unit(measured, told, Fraction(units[measured], units[told]))
    known = "; ".join(", ".join(units) for units in _DIMENSIONS)
    raise ValueError(f"{measured!r} is not converted to {told!r}; known: {known}")


def _judged(unit: str) -> str:
    """Return a unit that can be a part of a name; none is one, too."""
    if unit and not re.search(r"[A-Za-z]", unit):
        raise ValueError(f"{unit!r} is no word, as 'percent' is")
    return unit
