"""`shmtel tail`: events straight from the rings, while they are written.

Needs no collector and disturbs none: a ring is read as an observer, without a
lock and without writing. Beside a collector only what it has not released, and
what the worker has not overwritten since, can be read; what came too late is
counted and said.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from shmtel.cli import common
from shmtel.cli.event_lines import json_line, text_line
from shmtel.segments import home_of

if TYPE_CHECKING:
    from shmtel.cli.following import Event, Following

_LAST = 10  # events that are shown of what is in the rings already
_POLL_S = 0.05  # a 64 KiB ring is full after some ms of the worst load anyway
_ALL = 1 << 40  # bytes: more than any ring has


@click.command()
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@click.option(
    "--worker",
    default="*",
    show_default=True,
    metavar="GLOB",
    help="Only workers whose ids match; `*` crosses dots.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    metavar="NUMBER",
    help="Begin with so many of the events that are in the rings."
    f"  [default: {_LAST}, with -d all]",
)
@click.option(
    "-d", "--dump", "is_dump", is_flag=True, help="Show what is in the rings, and end."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@common.namespace_option
@common.dir_option
def command(
    namespace: str,
    directory: str | None,
    globs: tuple[str, ...],
    worker: str,
    lines: int | None,
    is_dump: bool,
    as_json: bool,
) -> None:
    """Show events as they are emitted; with GLOBs only those whose names match.

    Works without a collector, and on the rings of dead workers. Ends with Ctrl-C.
    """
    from shmtel.cli.following import Following

    following = Following(namespace, worker, common.talk, home_of(directory))
    with closing(following), common.until_nobody_looks():
        _follow(_Printer(globs, as_json), following, lines, is_dump)


def _follow(
    printer: "_Printer", following: "Following", lines: int | None, is_dump: bool
) -> None:
    if lines is None and not is_dump:
        lines = _LAST
    following.look(at_end=lines == 0)
    present = printer.wanted(following.poll(_ALL))
    printer.show(present if lines is None else deque(present, lines))
    while not is_dump:
        time.sleep(_POLL_S)
        following.look()
        printer.show(printer.wanted(following.poll()))


class _Printer:
    """Puts wanted events on stdout, a line each."""

    def __init__(self, globs: Sequence[str], as_json: bool) -> None:
        self._globs = globs
        self._known: dict[str, bool] = {}
        self._format = json_line if as_json else text_line

    def wanted(self, events: "Iterable[Event]") -> "Iterator[Event]":
        """Pass on the events whose names match."""
        return (event for event in events if self._is_wanted(event.name))

    def show(self, events: "Iterable[Event]") -> None:
        """Print events at once."""
        sys.stdout.writelines(f"{self._format(event)}\n" for event in events)
        sys.stdout.flush()

    def _is_wanted(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = not self._globs or any(fnmatchcase(name, g) for g in self._globs)
            self._known[name] = known
        return known
