"""`shmtel hub`: the receiving side as a program, with JSON lines as its sink.

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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shmtel.cli import children, common
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.cli.hub_options import AUTO, status_option
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel.cli.hub_status import Status
    from shmtel.endpoints.server import HttpServer, NoServer
    from shmtel.hub import Hub
    from shmtel.hub.bridges.account import Accountable
    from shmtel.hub.bridges.opentelemetry import OpenTelemetryBridge
    from shmtel.hub.bridges.opentelemetry.target import Protocol
    from shmtel.hub.bridges.statsd import StatsdBridge
    from shmtel.hub.bridges.statsd.settings import Dialect
    from shmtel.hub.settings_file import HubSettings

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
@click.option(
    "--jsonl",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Append each event as a line of JSON.",
)
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
    help="Send spans and logs to OpenTelemetry: a URL, or host:port of gRPC."
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
    jsonl: str | None,
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
        settings = _attach_metrics(hub, config_file, metrics)
        bridges = _make_statsd(hub, settings, statsd, statsd_dialect)
        for bridge in bridges:
            sinks.enter_context(bridge)
        if otlp is not None:
            sinks.enter_context(_attach_otlp(hub, otlp, otlp_protocol))
        _attach_sinks(hub, sinks, jsonl, console)
        _start(hub)
        _log.info("listening on %s", hub.address)
        endpoints = _watch(hub, http, bridges)
        shown = _show(hub, status, console)
        _serve(hub, stop)
        shown.close()
        endpoints.close()
        _stop(hub, bridges)
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


def _stop(hub: "Hub", bridges: Sequence["StatsdBridge"]) -> None:
    """Stop the hub, and send what it has counted until then."""
    deadline = time.monotonic() + _STOP_S + _SEND_S
    hub.stop(_STOP_S)
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


def _attach_metrics(
    hub: "Hub", config: Path | None, which: str | None
) -> "HubSettings":
    from shmtel.hub.measures.defaults import default_metrics
    from shmtel.hub.settings_file import HubSettings, read_settings

    try:
        settings = HubSettings() if config is None else read_settings(config)
        has_default = settings.default_metrics is not False
        if has_default if which is None else which == "default":
            hub.attach_metrics(default_metrics())
        hub.attach_metrics(settings.metrics)
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.INVALID_CONFIGURATION) from error
    except ValueError as error:
        raise CommandError(
            f"{config}: {error}", ExitCode.INVALID_CONFIGURATION
        ) from error
    return settings


def _make_statsd(
    hub: "Hub", settings: "HubSettings", address: str | None, dialect: "Dialect | None"
) -> "list[StatsdBridge]":
    """Make what sends metrics, if anything shall; options win over the file."""
    from shmtel.hub.bridges.statsd import StatsdBridge, StatsdSettings

    if settings.statsd is None and address is None:
        if dialect is not None:
            raise click.UsageError("--statsd-dialect needs --statsd ADDR.")
        return []
    told = settings.statsd or StatsdSettings()
    try:
        chosen = replace(
            told, address=address or told.address, dialect=dialect or told.dialect
        )
    except ConfigurationError as error:
        raise CommandError(
            f"statsd: {error}", ExitCode.INVALID_CONFIGURATION
        ) from error
    _log.info("metrics are sent to %s", chosen.address)
    return [StatsdBridge(hub.measures, chosen)]


def _attach_otlp(
    hub: "Hub", endpoint: str, protocol: "Protocol | None"
) -> "OpenTelemetryBridge":
    try:
        from shmtel.hub.bridges.opentelemetry import (
            OpenTelemetryBridge,
            OpenTelemetrySettings,
        )

        settings = OpenTelemetrySettings(endpoint or None, protocol)
        bridge = OpenTelemetryBridge(settings)
    except ImportError as error:
        raise CommandError(str(error), ExitCode.INVALID_CONFIGURATION) from error
    except ValueError as error:
        message = f"--otlp {endpoint}: {error}"
        raise CommandError(message, ExitCode.INVALID_CONFIGURATION) from error
    for kind, target in bridge.targets.items():
        _log.info("OTLP %s go to %s by %s", kind, target.address, target.protocol)
    bridge.attach(hub)
    bridge.export_periodically(hub.measures)
    return bridge


def _attach_sinks(
    hub: "Hub", sinks: contextlib.ExitStack, jsonl: str | None, console: bool
) -> None:
    from shmtel.cli.console import print_batch
    from shmtel.hub.jsonlines import JsonLines

    if jsonl:
        try:
            sink = sinks.enter_context(JsonLines(jsonl))
        except OSError as error:
            raise CommandError(
                f"cannot write {jsonl}: {error.strerror}; name another file with "
                "--jsonl"
            ) from error
        hub.attach_batch("jsonl", "*", sink, required=True, own_thread=True)
    if console:
        hub.attach_batch("console", "*", print_batch, sys.stderr, required=True)
    if not hub.list_handlers():
        _log.warning(
            "without --jsonl, --otlp or --console events are counted, and kept nowhere"
        )
