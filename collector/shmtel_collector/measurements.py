"""What can be measured of a worker's process, how often, and how that is said.

    [resources]
    interval = "30s"                      # of each worker; 0: never
    measurements = ["rss", "user", ...]   # MEASUREMENTS

By default all that takes the kernel little: `uss`, `pss` and `swap` have it walk the
page tables of the process, some milliseconds for each GiB, and hold up the process
itself meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shmtel.config import parse_duration
from shmtel.errors import ConfigurationError
from shmtel.policy.tables import refuse_unknown

LEAST_INTERVAL_NS = 1_000_000_000
COSTLY = ("uss", "pss", "swap")
MEMORY = ("rss", "vms", "shared", *COSTLY)
CPU = ("user", "system", "percent", "threads", "descriptors", "context_switches")
MEASUREMENTS = (*MEMORY, *CPU)
DEFAULT_MEASUREMENTS = tuple(name for name in MEASUREMENTS if name not in COSTLY)
_KEYS = ("interval", "measurements")


@dataclass(frozen=True, slots=True)
class ResourceSettings:
    """What is measured of each worker; `interval_ns` 0: nothing ever."""

    interval_ns: int = 0
    measurements: tuple[str, ...] = DEFAULT_MEASUREMENTS


def interval_ns_of(text: str) -> int:
    """Read an interval such as `10s`; 0: never.

    Raises:
        ConfigurationError: it is none, or too short; the text says why.
    """
    if text.strip() in ("0", "0s"):
        return 0
    try:
        interval_ns = parse_duration(text) * 1_000_000
    except ValueError as error:
        raise ConfigurationError(f"the interval {text!r}: {error}; or 0") from error
    if interval_ns < LEAST_INTERVAL_NS:
        raise ConfigurationError(f"the interval {text!r}: use 1s or more, or 0")
    return interval_ns


def resource_settings_of(
    interval: str, measurements: tuple[str, ...] | None
) -> ResourceSettings:
    """Return the settings for an interval; None: the usual measurements.

    Raises:
        ConfigurationError: the interval is none; the text says why.
    """
    chosen = DEFAULT_MEASUREMENTS if measurements is None else measurements
    return ResourceSettings(interval_ns_of(interval), chosen)


def measurements_of(value: object) -> tuple[str, ...]:
    """Read a list of measurements.

    Raises:
        ConfigurationError: it is none, or names what cannot be measured.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigurationError(
            f"`measurements` is a list of names in quotes, not {value!r}"
        )
    for name in value:
        if name not in MEASUREMENTS:
            known = ", ".join(MEASUREMENTS)
            raise ConfigurationError(f"`measurements`: {name!r} is none of {known}")
    return tuple(dict.fromkeys(value))


def resources_of_table(table: object) -> dict[str, Any]:
    """Read the table `resources` of a configuration file: only what is in there.

    Raises:
        ConfigurationError: it is none; the text says what is wrong.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError("`resources` is a table; write [resources]")
    refuse_unknown(table, _KEYS)
    result: dict[str, Any] = {}
    if "interval" in table:
        interval_ns_of(str(table["interval"]))
        result["resources_interval"] = str(table["interval"])
    if "measurements" in table:
        result["measurements"] = measurements_of(table["measurements"])
    return result
