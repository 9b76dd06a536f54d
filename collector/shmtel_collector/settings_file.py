"""The collector's configuration file: TOML, with the keys of the flags.

    hub = "hub.example:4737"
    namespace = "web"
    state_dir = "/var/lib/shmtel"
    socket = "/run/shmtel/web.sock"
    spool_dir = "/var/spool/shmtel"
    spool_max = "1GiB"
    dir = "/run/shmtel/rings"
    http = "127.0.0.1:9748"
    catalog = ["/etc/shmtel/shop.toml"]
    lifecycle = true
    status_interval = "10s"
    [resources]                    # see measurements.py
    [guard]                        # see guard.py

Rules: what is not known is refused, with the nearest name there is; every error
names the file.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from shmtel.endpoints.address import OFF
from shmtel.errors import ConfigurationError
from shmtel.policy.tables import refuse_unknown
from shmtel_collector.config import DEFAULT_NAMESPACE, CollectorConfig, spool_bytes_of
from shmtel_collector.guard import Guard, guard_of_table
from shmtel_collector.measurements import (
    DEFAULT_MEASUREMENTS,
    interval_ns_of,
    resources_of_table,
)

# By key, the setting of CollectorConfig.
_NAMES = ("hub", "namespace", "state_dir", "socket", "spool_dir", "spool_max", "http")
_TEXTS = {key: key for key in _NAMES}
_TEXTS |= {"dir": "directory", "status_interval": "status_interval"}
_SWITCHES = ("lifecycle",)
_LISTS = ("catalog",)
_KEYS = (*_TEXTS, *_SWITCHES, *_LISTS, "resources", "guard")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a file says.

    Attributes:
        values: by the name of the setting; only what is in the file.
        measurements: what is read of each worker's process.
    """

    values: Mapping[str, str | bool | list[str]] = field(default_factory=dict)
    guard: Guard = field(default_factory=Guard)
    measurements: tuple[str, ...] = DEFAULT_MEASUREMENTS


def read_settings(path: Path) -> SettingsFile:
    """Read a configuration file.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {error.strerror}; name another "
            "with --config, or unset SHMTEL_CONFIG"
        ) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    try:
        return _settings(table)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _settings(table: Mapping[str, Any]) -> SettingsFile:
    refuse_unknown(table, _KEYS)
    texts = {
        name: _text(key, table[key]) for key, name in _TEXTS.items() if key in table
    }
    CollectorConfig(  # judges them
        namespace=texts.get("namespace", DEFAULT_NAMESPACE),
        http=texts.get("http", OFF),
    )
    if "spool_max" in texts:
        spool_bytes_of(texts["spool_max"])
    if "status_interval" in texts:
        interval_ns_of(texts["status_interval"])
    switches = {key: _switch(key, table[key]) for key in _SWITCHES if key in table}
    lists = {key: _list(key, table[key]) for key in _LISTS if key in table}
    guard = _section("guard", guard_of_table, table)
    resources = _section("resources", resources_of_table, table)
    measurements = resources.pop("measurements", DEFAULT_MEASUREMENTS)
    values = {**texts, **switches, **lists, **resources}
    return SettingsFile(values, guard, measurements)


def _section(
    name: str, read: Callable[[object], _T], table: Mapping[str, object]
) -> _T:
    try:
        return read(table.get(name, {}))
    except ConfigurationError as error:
        raise ConfigurationError(f"[{name}]: {error}") from error


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"`{key}` is a text in quotes, not {value!r}")
    return value


def _list(key: str, value: object) -> list[str]:
    if not isinstance(value, list):
        raise ConfigurationError(f"`{key}` is a list of texts, not {value!r}")
    return [_text(key, item) for item in value]


def _switch(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"`{key}` is true or false, not {value!r}")
    return value
