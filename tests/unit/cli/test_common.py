"""Options and output that the verbs share."""

from shmtel.cli.common import format_reasons, format_table, plain


def test_a_table_is_aligned() -> None:
    """The first column stands left, the others right, nothing trails."""
    assert format_table(("A", "B"), [("long name", 1), ("x", 1000)]) == [
        "A             B",
        "long name     1",
        "x          1000",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    """No rows are no error."""
    assert format_table(("A", "B"), []) == ["A  B"]


def test_a_worker_cannot_steer_the_terminal() -> None:
    """Control characters in a worker's texts are replaced."""
    mark = "\N{REPLACEMENT CHARACTER}"
    assert plain("a\x1b[2Jb\nc") == f"a{mark}[2Jb{mark}c"
    assert "\x1b" not in format_table(("A",), [("\x1b[31m",)])[1]


def test_reasons_that_never_happened_are_left_out() -> None:
    """Only what was counted is shown."""
    assert format_reasons({"ring_full": 3, "invalid": 0, "no_ring": 1}) == (
        "ring_full 3, no_ring 1"
    )
