"""`shmtel collector`: the host agent, in the foreground until a signal ends it.

A flag counts before its variable, that before the configuration file, and the
file before the default.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shmtel.cli import children, common
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel_collector.settings_file import SettingsFile


def _use_file(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> "SettingsFile | None":
    """Take defaults from a file; a click callback, before other options are read."""
    if path is None:
        return None
    from shmtel_collector.settings_file import read_settings

    try:
        settings = read_settings(path)
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.INVALID_CONFIGURATION) from error
    context.default_map = {**(context.default_map or {}), **settings.values}
    return settings


def _judge_directory(
    context: click.Context, parameter: click.Parameter, value: Path | None
) -> Path | None:
    if value == Path() and common.is_said(context, parameter.name or ""):
        raise click.BadParameter("it is empty; name a directory.")
    return value


@click.command()
@click.option(
    "--config",
    "settings",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="SHMTEL_CONFIG",
    show_envvar=True,
    metavar="FILE",
    is_eager=True,
    callback=_use_file,
    help="Configuration in TOML, with guard rails.",
)
@click.option(
    "--hub",
    envvar="SHMTEL_HUB",
    default=common.DEFAULT_HUB,
    show_default=True,
    show_envvar=True,
    metavar="ADDR",
    help="Address of the hub: host:port, or unix:PATH.",
)
@common.namespace_option
@common.dir_option
@common.state_dir_option
@click.option(
    "--spool-dir",
    envvar="SHMTEL_SPOOL_DIR",
    show_envvar=True,
    # What cannot be used, or read, keeps nothing from starting.
    type=click.Path(readable=False, path_type=Path),
    callback=_judge_directory,
    help="Where events wait on disk that the hub does not take in time."
    "  [default: nowhere]",
)
@click.option(
    "--spool-max",
    envvar="SHMTEL_SPOOL_MAX",
    default="1GiB",
    show_default=True,
    show_envvar=True,
    metavar="SIZE",
    help="How much may wait there.",
)
@click.option(
    "--socket",
    envvar="SHMTEL_SOCKET",
    show_envvar=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where `shmtel ctl` reaches it.  [default: NAMESPACE.sock in"
    " $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/shmtel, else /tmp/shmtel-UID]",
)
@common.http_option("SHMTEL_COLLECTOR_HTTP", common.DEFAULT_COLLECTOR_HTTP)
@click.option(
    "--catalog",
    multiple=True,
    envvar="SHMTEL_CATALOG",
    show_envvar=True,
    type=click.Path(path_type=Path),
    callback=lambda context, parameter, paths: tuple(p for p in paths if p.name),
    metavar="FILE",
    help="Adds to the catalog of events; may be given again.",
)
@click.option(
    "--lifecycle/--no-lifecycle",
    envvar="SHMTEL_LIFECYCLE",
    default=True,
    show_default=True,
    show_envvar=True,
    help="Make lives of workers and the link to the hub events.",
)
@click.option(
    "--status-interval",
    envvar="SHMTEL_STATUS_INTERVAL",
    default="10s",
    show_default=True,
    show_envvar=True,
    metavar="TIME",
    help="Time between events about the state of each pool; 0: none.",
)
@click.option(
    "--resources-interval",
    envvar="SHMTEL_RESOURCES_INTERVAL",
    default="30s",
    show_default=True,
    show_envvar=True,
    metavar="TIME",
    help="Time between events about memory and CPU of each worker; 0: none.",
)
@common.log_level_option
@common.parent_option
def command(
    settings: "SettingsFile | None",
    spool_max: str,
    status_interval: str,
    resources_interval: str,
    log_level: str,
    parent: int | None,
    **values: Any,
) -> int:
    """Drain this host's rings and forward their events to a hub."""
    children.end_with_parent(parent)
    common.start_logging(log_level)
    from shmtel_collector import service
    from shmtel_collector.config import spool_bytes_of
    from shmtel_collector.measurements import interval_ns_of, resource_settings_of

    measurements = None
    if settings is not None:
        values["guard"], measurements = settings.guard, settings.measurements
    try:
        values["status_interval_ns"] = interval_ns_of(status_interval)
        values["resources"] = resource_settings_of(resources_interval, measurements)
        values["spool_max_bytes"] = spool_bytes_of(spool_max)
        return service.run(service.CollectorConfig(**values))
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.INVALID_CONFIGURATION) from error
