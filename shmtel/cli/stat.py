"""`shmtel stat`: what the workers' rings say, once or again and again.

On a terminal the table is drawn again in place; elsewhere it is printed anew.
Rates are what happened between two looks, by the clock that nobody sets.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from shmtel.cli import common
from shmtel.cli.errors import ExitCode
from shmtel.cli.observing import Refused, observe_namespace
from shmtel.cli.screen import Screen
from shmtel.cli.stat_table import Look, Row, rows_of, table
from shmtel.segments import Home, home_of

SCHEMA = "shmtel/stat/v1"
_INTERVAL_S = 1.0


@click.command()
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@click.option(
    "-i",
    "--interval",
    type=click.FloatRange(0.05, 3600),
    callback=common.judge_number,
    metavar="SECONDS",
    help="Repeat after so long, with rates.  [default: 1 on a terminal]",
)
@click.option("-1", "--once", "is_once", is_flag=True, help="Look once, and end.")
@common.namespace_option
@common.dir_option
@common.json_option
def command(
    namespace: str,
    directory: str | None,
    globs: tuple[str, ...],
    interval: float | None,
    is_once: bool,
    as_json: bool,
) -> int:
    """Show each worker's counters and ring, with or without a collector.

    With GLOBs only the workers whose ids match. On a terminal, or with -i, again
    and again, with rates per second; ends with Ctrl-C.
    """
    if is_once and interval is not None:
        raise click.UsageError("Say --once or --interval, not both.")
    view = _View(namespace, globs, as_json, home_of(directory))
    if is_once or (interval is None and not sys.stdout.isatty()):
        view.show_once()
        return ExitCode.OK
    with common.until_nobody_looks():
        for _ in _ticks(interval or _INTERVAL_S):
            view.show_next()
    return ExitCode.OK


def _ticks(interval_s: float) -> Iterator[None]:
    """Tick at once and then in step; what was slept through is skipped."""
    due_s = time.monotonic()
    while True:
        yield
        late = (time.monotonic() - due_s) // interval_s
        due_s += interval_s * (late + 1)
        time.sleep(max(due_s - time.monotonic(), 0))


class _View:
    """Looks at the rings, and prints what it sees."""

    def __init__(
        self, namespace: str, globs: tuple[str, ...], as_json: bool, home: Home
    ) -> None:
        self._home = home
        self._namespace = namespace
        self._globs = globs
        self._as_json = as_json
        self._screen = Screen(sys.stdout)
        self._last: Look | None = None
        self._said: set[str] = set()

    def show_once(self) -> None:
        """Print what there is now."""
        look, refused = self._look()
        if self._as_json:
            common.print_json(self._document(look, refused))
        elif look.rings:
            self._screen.show(table(rows_of(None, look)))
        else:
            common.talk(self._nothing())

    def show_next(self) -> None:
        """Print what there is now, and what happened since the last look."""
        look, refused = self._look()
        rows = rows_of(self._last, look)
        self._last = look
        if self._as_json:
            document = self._document(look, refused, rows)
            print(json.dumps(document), flush=True)
        else:
            lines = table(rows) if rows else [self._nothing()]
            if self._screen.is_live:  # a line on stderr would tear what is drawn
                lines += map(_refusal, refused)
            self._screen.show(lines)

    def _look(self) -> tuple[Look, list[Refused]]:
        rings, refused = observe_namespace(self._namespace, self._globs, self._home)
        look = Look(time.monotonic(), {ring.ring_id: ring for ring in rings})
        for ring in refused:
            if ring.segment not in self._said and not self._screen.is_live:
                common.talk(_refusal(ring))
            self._said.add(ring.segment)
        return look, refused

    def _nothing(self) -> str:
        return f"no rings in the namespace {self._namespace!r}"

    def _document(
        self, look: Look, refused: list[Refused], rows: list[Row] | None = None
    ) -> dict[str, Any]:
        document: dict[str, Any] = {"schema": SCHEMA, "namespace": self._namespace}
        if rows is None:
            document["rings"] = [asdict(ring) for ring in look.rings.values()]
        else:
            document["time_ns"] = time.time_ns()
            document["rings"] = [row.to_json() for row in rows]
        return document | {"refused": [asdict(ring) for ring in refused]}


def _refusal(ring: Refused) -> str:
    return common.plain(f"{ring.segment} is not read: {ring.reason}")
