"""The hub's configuration file: TOML, with the metrics that it keeps, and for whom.

    default_metrics = true        # those of the catalog
    [[metrics]]                   # one more, see measures/tables.py
    [statsd]                      # where they are sent, see bridges/statsd/settings.py

Rules: what is not known is refused, with the nearest name there is; every error names
the file, the line, and what to write instead.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shmtel.errors import ConfigurationError
from shmtel.hub.bridges.statsd.settings import StatsdSettings, settings_of_table
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.names import refuse_clashes
from shmtel.hub.measures.tables import metric_of_table
from shmtel.policy.tables import refuse_unknown
from shmtel.toml_lines import TomlLines

_KEYS = ("default_metrics", "metrics", "statsd")
_HEAD = re.compile(r"\s*\[\[\s*metrics\s*\]\]")
_KEY = re.compile(r"`(\w+)`|unknown key '(\w+)'")


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What a file says.

    Attributes:
        default_metrics: whether to keep those; None: it does not say.
        statsd: where they are sent; None: it does not say.
    """

    metrics: tuple[Metric, ...] = ()
    default_metrics: bool | None = None
    statsd: StatsdSettings | None = None


def read_settings(path: Path) -> HubSettings:
    """Read a configuration file.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {error.strerror}; name another "
            "with --config"
        ) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    try:
        refuse_unknown(table, _KEYS)
        default = _switch(table, "default_metrics")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return HubSettings(
        _metrics(path, text, table.get("metrics", [])),
        default,
        _statsd(path, text, table["statsd"]) if "statsd" in table else None,
    )


def _switch(table: Mapping[str, Any], key: str) -> bool | None:
    value = table.get(key)
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"`{key}` is true or false, not {value!r}")
    return value


def _metrics(path: Path, text: str, tables: object) -> tuple[Metric, ...]:
    if not isinstance(tables, list):
        raise ConfigurationError(f"{path}: write each metric as a table [[metrics]]")
    made: list[Metric] = []
    for number, table in enumerate(tables):
        try:
            made.append(metric_of_table(table))
            refuse_clashes(made)
        except (ConfigurationError, ValueError) as error:
            line = _line_of(text, number, str(error))
            raise ConfigurationError(
                f"{path}:{line}: metric {number + 1}: {error}"
            ) from error
    return tuple(made)


def _statsd(path: Path, text: str, table: object) -> StatsdSettings:
    try:
        return settings_of_table(table)
    except ConfigurationError as error:
        named = _KEY.match(str(error))
        where = ("statsd", named[1] or named[2]) if named else ("statsd",)
        line = TomlLines(text).line_of(where)
        raise ConfigurationError(f"{path}:{line}: statsd: {error}") from error


def _line_of(text: str, number: int, message: str) -> int:
    """Return the line of a metric, or of the key of it that a message names."""
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines) if _HEAD.match(line)]
    if number >= len(heads):  # not written as tables
        return 1
    start = heads[number]
    named = _KEY.match(message)
    if named is not None:
        key = re.compile(rf"\s*{named[1] or named[2]}\s*=")
        for at in range(start + 1, len(lines)):
            if _HEAD.match(lines[at]):
                break
            if key.match(lines[at]):
                return at + 1
    return start + 1
