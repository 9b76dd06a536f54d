"""`shmtel catalog`: the events that are known, and files that add to them.

Reads files only. What a collector has loaded is what it was given at its start.
"""

import os
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shmtel.cli import common
from shmtel.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from shmtel.catalog import Catalog
    from shmtel.catalog_entries import EventEntry

_file = click.Path(path_type=Path)  # a file that cannot be read is said by its reader


@click.group()
def command() -> None:
    """Show the events that are known, and check files that add to them."""


@command.command("show")
@click.argument("name", required=False, metavar="[NAME|GLOB]")
@click.option(
    "--catalog",
    "paths",
    type=_file,
    multiple=True,
    metavar="FILE",
    help="Adds to the catalog; may be repeated.  [default: SHMTEL_CATALOG]",
)
@common.json_option
def show(name: str | None, paths: tuple[Path, ...], as_json: bool) -> int:
    """Show an event, those that a glob matches, or all."""
    from shmtel import catalog
    from shmtel.cli import catalog_text

    known = catalog.load(paths or catalog.paths_of(os.environ))
    entries = _chosen(known, name)
    if as_json:
        common.print_json(catalog_text.document(known, entries))
    elif known.entry(name or "") is not None:
        click.echo("\n".join(catalog_text.event_lines(known, entries[0])))
    else:
        click.echo("\n".join(catalog_text.table_lines(entries)))
    return ExitCode.OK


@command.command("check")
@click.argument("paths", type=_file, nargs=-1, required=True, metavar="FILE...")
def check(paths: tuple[Path, ...]) -> int:
    """Check files as a collector would load them, and say what they add."""
    return _print_difference((), paths)


@command.command("diff")
@click.argument("first", type=_file, metavar="[FILE]")
@click.argument("second", type=_file, required=False, metavar="FILE")
def diff(first: Path, second: Path | None) -> int:
    """Say what a file has more or otherwise than shmtel's own catalog, or another."""
    if second is None:
        return _print_difference((), (first,))
    return _print_difference((first,), (second,))


def _print_difference(before: tuple[Path, ...], after: tuple[Path, ...]) -> int:
    from shmtel import catalog
    from shmtel.cli.catalog_diff import differences

    lines = list(differences(catalog.load(before), catalog.load(after)))
    if not lines:
        common.talk("there is no difference")
    for line in lines:
        click.echo(common.plain(line))
    return ExitCode.OK


def _chosen(known: "Catalog", name: str | None) -> "list[EventEntry]":
    if name is None:
        return list(known.events.values())
    entry = known.entry(name)
    found = [entry] if entry is not None else []
    found = found or [e for e in known.events.values() if fnmatchcase(e.name, name)]
    if not found:
        near = get_close_matches(name, known.events, 1)
        cure = f"did you mean {near[0]}?" if near else "`shmtel catalog show` has all"
        raise CommandError(f"the catalog has no event {name!r}; {cure}")
    return found
