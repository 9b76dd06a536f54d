"""Spans of time as people write and read them."""

import pytest

from shmtel.cli.durations import format_duration
from shmtel.config import parse_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("90s", 90_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1h30m", 5_400_000),
        ("1.5s", 1_500),
        ("250ms", 250),
        ("366d", 366 * 86_400_000),
    ],
)
def test_what_people_write(text: str, milliseconds: int) -> None:
    """Numbers with units, one after the other."""
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "10 m", "-5s", "10m5", "1e3s", "0s", "367d", "9" * 40 + "d", "1y"],
)
def test_what_is_no_duration(text: str) -> None:
    """A unit is required; nothing and more than a year are refused."""
    with pytest.raises(ValueError, match=r"90s|366d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "less than 1s"),
        (-5, "less than 1s"),
        (999, "less than 1s"),
        (59_999, "59s"),
        (60_000, "1m"),
        (3_661_000, "1h 1m"),
        (3_605_000, "1h"),
        (90_061_000, "1d 1h"),
    ],
)
def test_what_people_read(milliseconds: int, text: str) -> None:
    """The two largest units, rounded down."""
    assert format_duration(milliseconds) == text
