"""Questions to a daemon, and pages of the answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from shmtel.endpoints.resources import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    BadQueryError,
    Key,
    Query,
    Resource,
    page_of,
    parse_query,
)


def _nothing(_query: Query) -> Mapping[str, Any]:
    return {}


PAGED = Resource("rows", "Rows.", _nothing, {"node": "a glob"}, is_paged=True)
WHOLE = Resource("all", "All.", _nothing)


def _pages(rows: Sequence[Key], limit: int) -> list[list[Key]]:
    pages: list[list[Key]] = []
    after: str | None = None
    while True:
        items = [("limit", str(limit)), *([("after", after)] if after else [])]
        page = page_of(rows, lambda row: row, parse_query(PAGED, items))
        assert page.matched == len(rows)
        pages.append(list(page.rows))
        if (after := page.next) is None:
            return pages


def test_pages_are_all_rows_in_order() -> None:
    """Each once, as many as asked for, and the last page says that it is."""
    rows: list[Key] = [(name, number) for name in "cab" for number in (10, 9)]
    assert _pages(rows, 4) == [sorted(rows)[:4], sorted(rows)[4:]]
    assert _pages(rows, 3) == [sorted(rows)[:3], sorted(rows)[3:]]
    assert _pages(rows, 100) == [sorted(rows)]
    assert _pages([], 1) == [[]]


def test_a_page_goes_on_where_its_last_row_was() -> None:
    """Rows that came or went meanwhile move no others."""
    first = page_of([("a",), ("c",), ("e",)], lambda row: row, Query(limit=2))
    assert first.rows == [("a",), ("c",)]
    query = parse_query(PAGED, [("after", first.next or "")])
    second = page_of([("b",), ("d",), ("e",)], lambda row: row, query)
    assert second.rows == [("d",), ("e",)]


def test_globs_of_a_query() -> None:
    """All that are said have to match; those that are not match everything."""
    query = parse_query(PAGED, [("node", "a*")])
    assert query.wants(node="abc", worker="w")
    assert not query.wants(node="b", worker="w")
    assert parse_query(PAGED, []).wants(node="b")
    assert query.limit == LIMIT_DEFAULT


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([("nod", "a")], "no parameter 'nod'"),
        ([("node", "a"), ("node", "b")], "said twice"),
        ([("limit", "0")], f"1 to {LIMIT_MAX}"),
        ([("limit", str(LIMIT_MAX + 1))], f"1 to {LIMIT_MAX}"),
        ([("limit", "9" * 5_000)], f"1 to {LIMIT_MAX}"),
        ([("limit", "-1")], f"1 to {LIMIT_MAX}"),
        ([("limit", "\N{SUPERSCRIPT TWO}")], f"1 to {LIMIT_MAX}"),
        ([("after", "no base64!")], "'after' is"),
        ([("after", "bm90IGpzb24=")], "'after' is"),
        ([("after", "e30=")], "'after' is"),  # {}
        ([("after", "W1tdXQ==")], "'after' is"),  # [[]]
        ([("after", "\N{SNOWMAN}")], "'after' is"),
    ],
)
def test_what_is_no_question(items: list[tuple[str, str]], reason: str) -> None:
    """It is refused with the reason, before anything is read."""
    with pytest.raises(BadQueryError, match=reason):
        parse_query(PAGED, items)


def test_a_key_of_other_kinds_is_refused() -> None:
    """A cursor that was made up names a number where a name is to be."""
    query = parse_query(PAGED, [("after", "WzFd")])  # [1]
    with pytest.raises(BadQueryError, match="'after' is"):
        page_of([("a",)], lambda row: row, query)


def test_what_has_no_pages_has_no_limit() -> None:
    """The error names what there is."""
    with pytest.raises(BadQueryError, match="there are: none"):
        parse_query(WHOLE, [("limit", "1")])
