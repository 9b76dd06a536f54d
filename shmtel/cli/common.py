"""What several verbs share: options, JSON and tables on stdout, talk on stderr."""

import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from shmtel import config
from shmtel.endpoints.address import parse_http_address
from shmtel.errors import ConfigurationError
from shmtel.safe_text import escaped, json_text, replaced

DEFAULT_HUB = "127.0.0.1:4737"
DEFAULT_HUB_HTTP = "127.0.0.1:9747"
DEFAULT_COLLECTOR_HTTP = "127.0.0.1:9748"
DEFAULT_NAMESPACE = "default"
_MESSAGE_MAX = 4_096  # characters of a line of a log

_F = TypeVar("_F", bound=Callable[..., Any])


def judge_namespace(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse what no segment can be named after; a click callback."""
    if value is not None and not re.fullmatch(config.NAMESPACE_PATTERN, value):
        raise click.BadParameter(
            f"{value!r} is not 1 to 64 letters, digits, '_' and '-'."
        )
    return value


def judge_number(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse `nan`, which click takes for a number in any range; a callback."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is not a number.")
    return value


namespace_option = click.option(
    "--namespace",
    envvar="SHMTEL_NAMESPACE",
    default=DEFAULT_NAMESPACE,
    show_default=True,
    show_envvar=True,
    callback=judge_namespace,
    help="Workers and collectors of one namespace see each other.",
)


def _absolute(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    return None if value is None else os.path.abspath(value)


dir_option = click.option(
    "--dir",
    "directory",
    envvar="SHMTEL_DIR",
    show_envvar=True,
    type=click.Path(exists=True, file_okay=False),
    callback=_absolute,
    metavar="DIR",
    help="Where the rings live.  [default: POSIX shared memory]",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON instead of a table."
)
state_dir_option = click.option(
    "--state-dir",
    envvar="SHMTEL_STATE_DIR",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the collector keeps its state.  [default: $STATE_DIRECTORY,"
    " else $XDG_STATE_HOME/shmtel, else ~/.local/state/shmtel]",
)


def _judge_http(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        parse_http_address(value)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from error
    return value


def http_option(variable: str, default: str) -> Callable[[_F], _F]:
    """Say where a daemon serves its metrics."""
    return click.option(
        "--http",
        envvar=variable,
        default=default,
        show_default=True,
        show_envvar=True,
        metavar="ADDR",
        callback=_judge_http,
        help="Where metrics and health are served: HOST:PORT, or off.",
    )


parent_option = click.option("--parent", type=int, hidden=True)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    default="info",
    show_default=True,
    help="How much is said on stderr.",
)


class _SafeFormatter(logging.Formatter):
    """Keeps a message on its line, whatever was named in it.

    Only the traceback of an error has lines of its own.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escaped(record.message, _MESSAGE_MAX)
        return super().formatMessage(record)

    def formatException(self, *arguments: Any) -> str:
        lines = super().formatException(*arguments).split("\n")
        return "\n".join(escaped(line, _MESSAGE_MAX) for line in lines)


def log_formatter() -> logging.Formatter:
    """Return how lines of a log look; nothing in one steers a terminal."""
    return _SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def start_logging(level: str) -> None:
    """Send log lines of at least this level to stderr."""
    # Else grpc tells on stderr of each connection that ends in another way.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])


@contextmanager
def until_nobody_looks() -> Iterator[None]:
    """End a verb that goes on for ever in good order: Ctrl-C, or no reader."""
    try:
        yield
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # What is still buffered would fail once more when it is flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_said(context: click.Context, parameter: str) -> bool:
    """Say whether a parameter stands on the command line, and not in a variable."""
    source = context.get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def count(number: int, noun: str) -> str:
    """Render a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def talk(message: str) -> None:
    """Say something to the person at the terminal."""
    click.echo(f"shmtel: {escaped(message)}", err=True)


def talk_of_missing_state(namespace: str, state_dir: Path | None) -> None:
    """Say it if the directory that was named knows nothing of the namespace."""
    from shmtel_collector.config import state_path

    if state_dir is not None and not state_path(namespace, state_dir).exists():
        talk(
            f"no collector of the namespace {namespace!r} has kept anything in "
            f"{state_dir}: what it would know is missing here"
        )


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json_text(json.dumps(document, indent=2, ensure_ascii=False)))


def plain(text: str) -> str:
    """Make a worker's text harmless to a terminal."""
    return replaced(text)


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[object]], texts: int = 1
) -> list[str]:
    """Align columns: the first `texts` to the left, all others to the right."""
    lines = [[plain(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def format_reasons(counts: dict[str, int]) -> str:
    """Render counts by reason, leaving out what never happened."""
    return ", ".join(f"{reason} {count}" for reason, count in counts.items() if count)
