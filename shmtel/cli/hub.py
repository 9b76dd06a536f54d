"""`shmtel hub`: the receiving side as a program, with files as its sinks.

Programs that want handlers of their own use `shmtel.hub.Hub` instead.
"""

import contextlib
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from shmtel.cli import children, common, hub_bridges
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.cli.file_sinks import FileOptions, attach_files, file_options
from shmtel.cli.hub_options import AUTO, status_option
from shmtel.ending_signals import ending_signals
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel.cli.hub_status import Status
    from shmtel.endpoints.server import HttpServer, NoServer
    from shmtel.hub import Hub
    from shmtel.hub.bridges.account import Accountable
    from shmtel.hub.bridges.opentelemetry.target import Protocol
    from shmtel.hub.bridges.statsd import StatsdBridge
    from shmtel.hub.bridges.statsd.settings import Dialect

_log = logging.getLogger(__name__)
_STOP_S = 1.5
_SEND_S = 0.3  # for what is sent after that, and what the hub has left of its time
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
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML with metrics of events to keep, and where to send them.",
)
@click.option(
    "--metrics",
    type=click.Choice(["default", "off"]),
    help="Whether to keep the metrics of the catalog.  [default: as the file says,"
    " else default]",
)
@click.option(
    "--otlp",
    is_flag=False,
    flag_value="",
    metavar="[ENDPOINT]",
    help="Send spans, logs and metrics to OpenTelemetry: a URL, or host:port of gRPC."
    "  [default: as OTEL_EXPORTER_OTLP_ENDPOINT says, else localhost]",
)
@click.option(
    "--otlp-protocol",
    type=click.Choice(["grpc", "http/protobuf"]),
    help="[default: as OTEL_EXPORTER_OTLP_PROTOCOL says, else grpc for port 4317, else"
    " http/protobuf]",
)
@click.option(
    "--statsd",
    metavar="ADDR",
    help="Send the metrics to a StatsD server: host:port, or unix:PATH.",
)
@click.option(
    "--statsd-dialect",
    type=click.Choice(["statsd", "dogstatsd"]),
    help="What the server reads.  [default: as the file says, else statsd]",
)
@click.option("--console", is_flag=True, help="Print each event on stderr.")
@status_option
@common.http_option("SHMTEL_HUB_HTTP", common.DEFAULT_HUB_HTTP)
@common.log_level_option
@common.parent_option
def command(
    listen: str,
    state_dir: Path | None,
    config_file: Path | None,
    metrics: str | None,
    statsd: str | None,
    statsd_dialect: "Dialect | None",
    console: bool,
    status: float | str,
    otlp: str | None,
    otlp_protocol: "Protocol | None",
    http: str,
    log_level: str,
    parent: int | None,
    **files: Unpack[FileOptions],
) -> int:
    """Receive the events of many collectors until SIGTERM, SIGINT or SIGHUP."""
    children.end_with_parent(parent)
    common.start_logging(log_level)
    stop = threading.Event()
    for number in ending_signals():
        signal.signal(number, lambda *_: stop.set())
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()  # what was imported stays: no full collection need walk it again
    hub = _make(listen, state_dir)
    with contextlib.ExitStack() as sinks:
        if otlp is None and otlp_protocol is not None:
            raise click.UsageError("--otlp-protocol needs --otlp.")
        settings = hub_bridges.attach_metrics(hub, config_file, metrics)
        bridges = hub_bridges.make_statsd(hub, settings, statsd, statsd_dialect)
        for bridge in bridges:
            sinks.enter_context(bridge)
        if otlp is not None:
            sinks.enter_context(hub_bridges.attach_otlp(hub, otlp, otlp_protocol))
        attach_files(hub, sinks, files)
        _attach_console(hub, console)
        _start(hub)
        _log.info("listening on %s", hub.address)
        endpoints = _watch(hub, http, bridges)
        shown = _show(hub, status, console)
        _serve(hub, stop)
        deadline = time.monotonic() + _STOP_S + _SEND_S  # of all that may hang
        shown.close()
        endpoints.close()
        _stop(hub, bridges, deadline)
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


def _watch(
    hub: "Hub", address: str, bridges: Sequence["Accountable"]
) -> "HttpServer | NoServer":
    from shmtel.endpoints.server import serve
    from shmtel.hub.watched import WatchedHub

    return serve(WatchedHub(hub, bridges), address, _log)


def _stop(hub: "Hub", bridges: Sequence["StatsdBridge"], deadline: float) -> None:
    """Stop the hub, and send what it has counted until then."""
    hub.stop(max(_SEND_S, deadline - _SEND_S - time.monotonic()))
    for bridge in bridges:
        bridge.stop(max(_SEND_S / 2, deadline - time.monotonic()))


def _show(hub: "Hub", status: float | str, console: bool) -> "Status":
    from shmtel.cli.hub_status import NoStatus, show_status

    if console and status == AUTO:
        return NoStatus()  # the events say what it does
    return show_status(hub, status, is_live=not console)


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
            "without --jsonl, --parquet, --otlp or --console events are counted, and "
            "kept nowhere"
        )
