"""The hub's configuration file: TOML, with the metrics that it keeps, and for whom.

    default_metrics = true        # those of the catalog
    [[metrics]]                   # one more, see measures/tables.py
    [statsd]                      # where they are sent, see bridges/statsd/settings.py

Rules: what is not known is refused, with the nearest name there is; every error names
the file, the line, and what to write instead.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shmtel.errors import ConfigurationError
from shmtel.hub.bridges.statsd.settings import StatsdSettings, settings_of_table
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.names import refuse_clashes
from shmtel.hub.measures.tables import metric_of_table
from shmtel.toml_lines import Where
from shmtel.toml_source import TomlSource, shown

_KEYS = ("default_metrics", "metrics", "statsd")
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


def read_settings(path: Path, others: Sequence[Metric] = ()) -> HubSettings:
    """Read a configuration file.

    Args:
        others: are kept too, unless it says that there are no default metrics.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong.
    """
    source = TomlSource(path, "name another with --config")
    table = source.root(_KEYS)
    has_others = _switch(source, table.get("default_metrics"))
    return HubSettings(
        _metrics(
            source, table.get("metrics", []), others if has_others is not False else ()
        ),
        has_others,
        _statsd(source, table["statsd"]) if "statsd" in table else None,
    )


def _switch(source: TomlSource, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        text = f"`default_metrics` is true or false, not {shown(value)}"
        raise source.fault(("default_metrics",), text)
    return value


def _metrics(
    source: TomlSource, tables: object, others: Sequence[Metric]
) -> tuple[Metric, ...]:
    if not isinstance(tables, list):
        raise source.fault(("metrics",), "write each metric as a table [[metrics]]")
    made: list[Metric] = []
    for number, table in enumerate(tables):
        try:
            made.append(metric_of_table(table))
            refuse_clashes([*others, *made])
        except (ConfigurationError, ValueError) as error:
            where = _where(("metrics", number), error)
            raise source.fault(where, f"metric {number + 1}: {error}") from error
    return tuple(made)


def _statsd(source: TomlSource, table: object) -> StatsdSettings:
    try:
        return settings_of_table(table)
    except ConfigurationError as error:
        where = _where(("statsd",), error)
        raise source.fault(where, f"statsd: {error}") from error


def _where(table: Where, error: Exception) -> Where:
    """Return the place of the key that an error names, else of its table."""
    named = _KEY.match(str(error))
    return table if named is None else (*table, named[1] or named[2])
