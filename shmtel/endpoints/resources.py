"""What a daemon tells as JSON: resources with parameters, filtered and in pages.

A daemon has a table of resources; what is not in it cannot be asked for, so the
table is what the index and the documentation are checked by.

Rules:
- nothing can be changed through a resource;
- what is asked is judged before anything is read: a misspelt parameter is an error,
  never an answer to another question;
- a page goes on behind a key, not at a number: rows that come and go meanwhile make
  no other row appear twice, or not at all.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from heapq import nsmallest
from typing import Any, Generic, TypeVar

from shmtel.errors import ShmtelError

LIMIT_DEFAULT, LIMIT_MAX = 1_000, 10_000  # rows of a page
LIMIT, AFTER = "limit", "after"

_Row = TypeVar("_Row")
Key = tuple[str | int, ...]


class BadQueryError(ShmtelError):
    """What was asked is no question; the text says why."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a resource.

    Attributes:
        globs: by parameter; what is not said matches everything.
        after: the key behind which the page begins; None: with the first.
    """

    globs: Mapping[str, str] = field(default_factory=dict)
    limit: int = LIMIT_DEFAULT
    after: Key | None = None

    def wants(self, **values: str) -> bool:
        """Say whether a row with these values is asked for."""
        return all(
            fnmatchcase(value, self.globs[name])
            for name, value in values.items()
            if name in self.globs
        )


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that can be asked for.

    Attributes:
        globs: parameters that are globs, with what each goes over.
        read: makes the document; it is called in threads of its own, a few at once.
        is_paged: whether `limit` and `after` are known to it.
    """

    name: str
    text: str
    read: Callable[[Query], Mapping[str, Any]]
    globs: Mapping[str, str] = field(default_factory=dict)
    is_paged: bool = False

    def parameters(self) -> dict[str, str]:
        """Return what may be asked, with what it means."""
        paging = {
            LIMIT: f"rows of a page, 1 to {LIMIT_MAX}; {LIMIT_DEFAULT} if not said",
            AFTER: "`next` of the page before",
        }
        return {**self.globs, **(paging if self.is_paged else {})}


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """Some rows of many.

    Attributes:
        matched: rows that were asked for, on all pages.
        next: what to ask for as `after`; None: there is no more.
    """

    rows: Sequence[_Row]
    matched: int
    next: str | None


def parse_query(resource: Resource, items: Iterable[tuple[str, str]]) -> Query:
    """Return what is asked.

    Raises:
        BadQueryError: the resource has no such parameter, or it makes no sense.
    """
    said: dict[str, str] = {}
    known = resource.parameters()
    for name, value in items:
        if name not in known:
            names = ", ".join(known) or "none"
            raise BadQueryError(f"no parameter {name!r} here; there are: {names}")
        if name in said:
            raise BadQueryError(f"{name!r} is said twice")
        said[name] = value
    return Query(
        {name: value for name, value in said.items() if name in resource.globs},
        limit=_limit(said.get(LIMIT)),
        after=_key(said.get(AFTER)),
    )


def page_of(
    rows: Iterable[_Row], key: Callable[[_Row], Key], query: Query
) -> Page[_Row]:
    """Return the page that is asked for, of rows in the order of their keys."""
    wanted = list(rows)
    after = query.after
    try:
        left = [row for row in wanted if after is None or key(row) > after]
    except TypeError as error:  # its fields are not of the kinds that keys here have
        raise BadQueryError(_NO_CURSOR) from error
    shown = nsmallest(query.limit, left, key=key)
    has_more = len(left) > len(shown)
    return Page(shown, len(wanted), _cursor(key(shown[-1])) if has_more else None)


_NO_CURSOR = f"{AFTER!r} is `next` of the page before, and nothing else"


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    if not is_number or not 1 <= int(text) <= LIMIT_MAX:
        raise BadQueryError(f"{LIMIT!r} is a number from 1 to {LIMIT_MAX}")
    return int(text)


def _cursor(key: Key) -> str:
    return urlsafe_b64encode(json.dumps(key).encode()).decode()


def _key(text: str | None) -> Key | None:
    if text is None:
        return None
    try:
        fields = json.loads(urlsafe_b64decode(text))
    except (ValueError, RecursionError) as error:
        raise BadQueryError(_NO_CURSOR) from error
    if not isinstance(fields, list) or not all(type(f) in (str, int) for f in fields):
        raise BadQueryError(_NO_CURSOR)
    return tuple(fields)
