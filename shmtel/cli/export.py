"""`shmtel export`: events for other tools, from files or from the rings.

Chrome's trace format shows spans over time in Perfetto or chrome://tracing.
"""

import os
from typing import TYPE_CHECKING

import click

from shmtel.cli import common
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.segments import home_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shmtel.hub.files.line import Line


@click.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(("chrome", "jsonl", "parquet")),
    required=True,
    help="For trace viewers, as lines of JSON, or as columns.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="FILE",
    help="JSON lines of the hub, packed (.gz) or not, oldest first; - for stdin."
    "  [default: what is in the rings of this host]",
)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    help="Where to; .gz packs it.  [default: stdout]",
)
@click.option(
    "--worker",
    default="*",
    show_default=True,
    metavar="GLOB",
    help="Only workers whose ids match; `*` crosses dots.",
)
@common.namespace_option
@common.dir_option
def command(
    kind: str,
    inputs: tuple[str, ...],
    output: str,
    worker: str,
    namespace: str,
    directory: str | None,
) -> None:
    """Write events in a form that other tools read.

    Of rings it reads what is there, as `shmtel tail -d` does, and disturbs nobody.
    """
    from fnmatch import fnmatchcase

    from shmtel.cli.exporting.formats import FORMATS, STDOUT
    from shmtel.cli.exporting.sources import lines_of_files, lines_of_rings

    if kind == "parquet" and output == STDOUT:
        raise CommandError("a Parquet file needs a name: give --output", ExitCode.USAGE)
    lines: Iterator[Line]
    for name in inputs:
        if _is_same_file(name, output):
            text = f"{output} is read from, and would be gone; write to another file"
            raise CommandError(text, ExitCode.USAGE)
    if inputs:
        every = lines_of_files(inputs, common.talk)
        lines = (line for line in every if fnmatchcase(line.worker_id, worker))
    else:
        rings = home_of(directory)
        lines = lines_of_rings(namespace, worker, rings, common.talk)
    try:
        counts = FORMATS[kind](lines, output)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(f"cannot write {output}: {reason}") from error
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    common.talk(f"exported {told or 'no events'}")


def _is_same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there, or is a stream
        return False
