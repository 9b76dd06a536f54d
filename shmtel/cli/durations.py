"""Spans of time as people write them: `90s`, `10m`, `1h30m`, `2d`."""

import click

from shmtel.config import DURATION_UNITS_MS, parse_duration

_SHOWN = ("d", "h", "m", "s")


def format_duration(milliseconds: float) -> str:
    """Write a span of time with its two largest units, rounded down."""
    left = int(max(milliseconds, 0))
    parts: list[tuple[int, str]] = []
    for unit in _SHOWN:
        number, left = divmod(left, DURATION_UNITS_MS[unit])
        if number or parts:
            parts.append((number, unit))
    shown = [f"{number}{unit}" for number, unit in parts[:2] if number]
    return " ".join(shown) or "less than 1s"


def judge_duration(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    """Return milliseconds, or refuse the text with how to write it; a callback."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}.") from error
