"""The files of `shmtel hub`: their options, and the sinks that these make."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from shmtel.cli import common
from shmtel.cli.durations import judge_duration
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.config import parse_bytes
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel.hub import Hub
    from shmtel.hub.files.rotation import Rotation

_F = TypeVar("_F", bound=Callable[..., Any])

PARQUET_FILE = "events.jsonl"  # in its directory, until it is made columns of


class FileOptions(TypedDict):
    """The options by name; sizes in bytes, spans of time in milliseconds."""

    jsonl: Path | None
    jsonl_max: int | None
    jsonl_every: int | None
    jsonl_keep: int | None
    jsonl_gzip: bool
    parquet: Path | None
    parquet_max: int
    parquet_every: int
    parquet_keep: int | None


def _judge_size(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    try:
        return None if value is None else parse_bytes(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}.") from error


def _size_option(
    name: str, help_text: str, default: str | None = None
) -> Callable[[_F], _F]:
    return click.option(
        name,
        callback=_judge_size,
        default=default,
        show_default=default is not None,
        metavar="SIZE",
        help=help_text,
    )


_OPTIONS = (
    click.option(
        "--jsonl",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Append each event as a line of JSON.",
    ),
    _size_option("--jsonl-max", "Rotate FILE before it is larger, such as 100MiB."),
    click.option(
        "--jsonl-every",
        callback=judge_duration,
        metavar="DURATION",
        help="Rotate FILE by the clock, such as 1h or 1d; days end at midnight UTC.",
    ),
    click.option(
        "--jsonl-keep",
        type=click.IntRange(1),
        metavar="NUMBER",
        help="Keep so many rotated files, and remove older ones.  [default: all]",
    ),
    click.option("--jsonl-gzip", is_flag=True, help="Compress rotated files."),
    click.option(
        "--parquet",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep events in Parquet files there; needs shmtel[parquet].",
    ),
    _size_option(
        "--parquet-max", "Begin a new file after so much of JSON lines.", "64MiB"
    ),
    click.option(
        "--parquet-every",
        callback=judge_duration,
        default="10m",
        show_default=True,
        metavar="DURATION",
        help="Begin a new file by the clock.",
    ),
    click.option(
        "--parquet-keep",
        type=click.IntRange(1),
        metavar="NUMBER",
        help="Keep so many Parquet files, and remove older ones.  [default: all]",
    ),
)


def file_options(function: _F) -> _F:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def attach_files(hub: "Hub", sinks: contextlib.ExitStack, options: FileOptions) -> None:
    """Attach the sinks that are asked for; they are closed with `sinks`.

    Raises:
        CommandError: a file cannot be written, or an option is wrong.
    """
    from shmtel.hub.files.forms import Gzip, Lines, Parquet
    from shmtel.hub.files.rotation import Rotation

    try:
        lines = Rotation(
            options["jsonl_max"],
            _seconds(options["jsonl_every"]),
            options["jsonl_keep"],
            Gzip() if options["jsonl_gzip"] else Lines(),
        )
    except ConfigurationError as error:
        raise CommandError(
            "--jsonl-keep and --jsonl-gzip need --jsonl-max or --jsonl-every",
            ExitCode.USAGE,
        ) from error
    if options["jsonl"] is not None:
        _attach(hub, sinks, "jsonl", options["jsonl"], lines)
    elif lines.is_on:
        raise CommandError(
            "rotation needs a file: name it with --jsonl", ExitCode.USAGE
        )
    if options["parquet"] is None:
        context = click.get_current_context()
        for name in ("parquet_max", "parquet_every", "parquet_keep"):
            if common.is_said(context, name):
                option = name.replace("_", "-")
                raise CommandError(f"--{option} needs --parquet DIR", ExitCode.USAGE)
    else:
        columns = Rotation(
            options["parquet_max"],
            _seconds(options["parquet_every"]),
            options["parquet_keep"],
            Parquet(),
        )
        _attach(hub, sinks, "parquet", options["parquet"] / PARQUET_FILE, columns)


def _attach(
    hub: "Hub",
    sinks: contextlib.ExitStack,
    handler_id: str,
    path: Path,
    rotation: "Rotation",
) -> None:
    from shmtel.hub.jsonlines import JsonLines

    try:
        if handler_id == "parquet":
            path.parent.mkdir(parents=True, exist_ok=True)
        sink = sinks.enter_context(JsonLines(path, rotation))
    except OSError as error:
        raise CommandError(
            f"cannot write {path}: {error.strerror}; name another with --{handler_id}"
        ) from error
    hub.attach_batch(handler_id, "*", sink, required=True, own_thread=True)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1_000
