"""The metrics and bridges of `shmtel hub`: made from its options and its file.

Rules: what is wrong is said with its cure before the hub listens.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shmtel.cli.errors import CommandError, ExitCode
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel.hub import Hub
    from shmtel.hub.bridges.opentelemetry import OpenTelemetryBridge
    from shmtel.hub.bridges.opentelemetry.target import Protocol
    from shmtel.hub.bridges.statsd import StatsdBridge
    from shmtel.hub.bridges.statsd.settings import Dialect
    from shmtel.hub.settings_file import HubSettings

_log = logging.getLogger("shmtel.cli.hub")


def attach_metrics(hub: "Hub", config: Path | None, which: str | None) -> "HubSettings":
    """Attach the metrics that file and option name; return what else the file says."""
    from shmtel.hub.measures.defaults import default_metrics
    from shmtel.hub.settings_file import HubSettings, read_settings

    try:
        others = default_metrics() if which != "off" else []
        settings = HubSettings() if config is None else read_settings(config, others)
        has_default = settings.default_metrics is not False
        if has_default if which is None else which == "default":
            hub.attach_metrics(others)
        hub.attach_metrics(settings.metrics)
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.INVALID_CONFIGURATION) from error
    except ValueError as error:
        raise CommandError(
            f"{config}: {error}", ExitCode.INVALID_CONFIGURATION
        ) from error
    return settings


def make_statsd(
    hub: "Hub", settings: "HubSettings", address: str | None, dialect: "Dialect | None"
) -> "list[StatsdBridge]":
    """Make what sends metrics, if anything shall; options win over the file."""
    from shmtel.hub.bridges.statsd import StatsdBridge, StatsdSettings

    if settings.statsd is None and address is None:
        if dialect is not None:
            raise click.UsageError("--statsd-dialect needs --statsd ADDR.")
        return []
    told = settings.statsd or StatsdSettings()
    address = told.address if address is None else address
    try:
        chosen = replace(told, address=address, dialect=dialect or told.dialect)
    except ConfigurationError as error:
        raise CommandError(
            f"statsd: {error}", ExitCode.INVALID_CONFIGURATION
        ) from error
    _log.info("metrics are sent to %s", chosen.address)
    return [StatsdBridge(hub.measures, chosen)]


def attach_otlp(
    hub: "Hub", endpoint: str, protocol: "Protocol | None"
) -> "OpenTelemetryBridge":
    """Attach what sends spans, logs and metrics to OpenTelemetry."""
    try:
        from shmtel.hub.bridges.opentelemetry import (
            OpenTelemetryBridge,
            OpenTelemetrySettings,
        )

        settings = OpenTelemetrySettings(endpoint or None, protocol)
        bridge = OpenTelemetryBridge(settings)
    except ImportError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except ValueError as error:
        message = f"--otlp {endpoint}: {error}"
        raise CommandError(message, ExitCode.INVALID_CONFIGURATION) from error
    for kind, target in bridge.targets.items():
        _log.info("OTLP %s go to %s by %s", kind, target.address, target.protocol)
    bridge.attach(hub)
    bridge.export_periodically(hub.measures)
    return bridge
