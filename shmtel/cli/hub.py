"""`shmtel hub`: the receiving side as a program, with files as its sinks.

Programs that want handlers of their own use `shmtel.hub.Hub` instead.
"""

import contextlib
import gc
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from shmtel.cli import children, common
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.cli.file_sinks import FileOptions, attach_files, file_options
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel.endpoints.server import HttpServer, NoServer
    from shmtel.hub import Hub

_log = logging.getLogger(__name__)
_STOP_S = 1.5
_LOOK_S = 0.5
SWITCH_S = 0.001  # how long a thread may hold the others up; an operator waits for it


@click.command()
@click.option(
    "--listen",
    default=common.DEFAULT_HUB,
    show_default=True,
    metavar="ADDR",
    help="host:port, or unix:PATH.",
)
@file_options
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the hub keeps its policy and its table of rings, for itself alone."
    "  [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/shmtel, else"
    " ~/.local/state/shmtel]",
)
@click.option("--console", is_flag=True, help="Print each event on stderr.")
@common.http_option("SHMTEL_HUB_HTTP", common.DEFAULT_HUB_HTTP)
@common.log_level_option
@common.parent_option
def command(
    listen: str,
    state_dir: Path | None,
    console: bool,
    http: str,
    log_level: str,
    parent: int | None,
    **files: Unpack[FileOptions],
) -> int:
    """Receive the events of many collectors until SIGTERM or SIGINT."""
    children.end_with_parent(parent)
    common.start_logging(log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()  # what was imported stays: no full collection need walk it again
    hub = _make(listen, state_dir)
    with contextlib.ExitStack() as sinks:
        attach_files(hub, sinks, files)
        _attach_console(hub, console)
        _start(hub)
        _log.info("listening on %s", hub.address)
        endpoints = _watch(hub, http)
        _serve(hub, stop)
        endpoints.close()
        hub.stop(_STOP_S)
    if hub.failure is not None:
        raise CommandError(
            f"the hub does not run without its sink: {hub.failure}; what it did not "
            "write stays in the rings for the next hub"
        )
    return ExitCode.OK


def _make(listen: str, state_dir: Path | None) -> "Hub":
    from shmtel.hub import Hub
    from shmtel_collector.config import default_state_dir

    try:
        return Hub(listen, state_dir=state_dir or default_state_dir())
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def _start(hub: "Hub") -> None:
    try:
        hub.start()
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def _watch(hub: "Hub", address: str) -> "HttpServer | NoServer":
    from shmtel.endpoints.server import serve
    from shmtel.hub.watched import WatchedHub

    return serve(WatchedHub(hub), address, _log)


def _serve(hub: "Hub", stop: threading.Event) -> None:
    """Wait for a signal, or for the end of a sink."""
    while hub.failure is None and not stop.wait(_LOOK_S):
        pass


def _attach_console(hub: "Hub", console: bool) -> None:
    from shmtel.cli.console import print_batch

    if console:
        hub.attach_batch("console", "*", print_batch, sys.stderr, required=True)
    if not hub.list_handlers():
        _log.warning(
            "without --jsonl, --parquet or --console events are counted, and kept "
            "nowhere"
        )
