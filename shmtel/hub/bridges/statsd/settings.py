"""How the bridge is set, in Python or as a table of the hub's TOML file.

[statsd]
address = "unix:/var/run/datadog/dsd.socket"
dialect = "dogstatsd"
prefix = "shop"
tags = { env = "prod" }
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from shmtel.endpoints.address import host_and_port
from shmtel.errors import ConfigurationError
from shmtel.policy.tables import refuse_unknown

Dialect = Literal["statsd", "dogstatsd"]
PlainTags = Literal["suffix", "drop"]
Distributions = Literal["distribution", "histogram", "buckets"]

UNIX = "unix:"
# What fits into a frame of Ethernet with the headers of IPv6, and what Datadog's
# agent reads of a unix datagram.
_PATH_BYTES = 107  # of a unix socket
_UDP_BYTES, _UNIX_BYTES = 1_432, 8_192
_BYTES = (256, 65_507)  # less holds no line, more no datagram
# A count of a worker that is gone stays for a minute, and has to be seen in it.
_INTERVAL_S = (0.05, 30.0)
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class StatsdSettings:
    """Where the bridge sends, and how.

    Attributes:
        address: host and port of a UDP server, or `unix:` and the path of a socket.
        dialect: `statsd` as etsy's server reads it, without tags; or `dogstatsd`.
        prefix: stands before every name, with a dot.
        tags: are on every line; DogStatsD only.
        plain_tags: where there are no tags, their values become parts of the name
            (`suffix`), or are left out (`drop`).
        distributions: how they are told: as a `distribution` or `histogram` of
            DogStatsD, or as `buckets`; None: as the dialect's users expect them.
        interval_s: between two flushes.
        datagram_bytes: of a datagram at most; None: 1,432 for UDP, 8,192 for unix.

    Raises:
        ConfigurationError: something is wrong; the text says what to write instead.
    """

    address: str = "127.0.0.1:8125"
    dialect: Dialect = "statsd"
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    plain_tags: PlainTags = "suffix"
    distributions: Distributions | None = None
    interval_s: float = 10.0
    datagram_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, is_right, text in _RULES:
            value = getattr(self, name)
            if not is_right(value):
                raise ConfigurationError(f"`{name}` is {text}, not {value!r}")
        if self.dialect == "statsd" and self.tags:
            raise ConfigurationError(
                "`tags` are of DogStatsD; set `dialect` to dogstatsd, or use `prefix`"
            )
        if self.dialect == "statsd" and self.distributions not in (None, "buckets"):
            raise ConfigurationError(
                "`distributions` of the dialect statsd are buckets, because its timers "
                "weigh every value as one"
            )

    @property
    def path(self) -> str | None:
        """Of the unix socket; None: it is UDP."""
        is_unix = self.address.startswith(UNIX)
        return self.address.removeprefix(UNIX) if is_unix else None

    @property
    def datagram_max_bytes(self) -> int:
        """How long a datagram is at most."""
        return self.datagram_bytes or (_UDP_BYTES if self.path is None else _UNIX_BYTES)

    @property
    def has_buckets(self) -> bool:
        """Whether distributions are told by bucket."""
        return self.dialect == "statsd" or self.distributions == "buckets"


def settings_of_table(table: object) -> StatsdSettings:
    """Read the table of a file.

    Raises:
        ConfigurationError: something is wrong; the text says what, not where.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError("`statsd` is a table; write [statsd]")
    refuse_unknown(table, tuple(one.name for one in fields(StatsdSettings)))
    return StatsdSettings(**table)


def _is_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    if value.startswith(UNIX):
        path = value.removeprefix(UNIX).encode(errors="replace")
        return 0 < len(path) <= _PATH_BYTES and b"\0" not in path
    found = host_and_port(value)
    return found is not None and found[1] > 0 and _is_host(found[0])


def _is_host(name: str) -> bool:
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def _is_within(low: float, high: float) -> Callable[[Any], bool]:
    def judge(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and low <= value <= high  # nan is within nothing

    return judge


def _is_one_of(words: Any) -> tuple[Callable[[object], bool], str]:
    return lambda value: value in get_args(words), " or ".join(get_args(words))


def _is_prefix(value: object) -> bool:
    return isinstance(value, str) and (not value or bool(_PREFIX.fullmatch(value)))


def _is_tags(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(part, str) and part for pair in value.items() for part in pair
    )


_is_bytes = _is_within(*_BYTES)
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("address", _is_address, "HOST:PORT, [HOST]:PORT or unix:PATH"),
    ("dialect", *_is_one_of(Dialect)),
    ("prefix", _is_prefix, "a name: letters, digits, '_' and '-', with dots between"),
    ("tags", _is_tags, "a table of texts"),
    ("plain_tags", *_is_one_of(PlainTags)),
    (
        "distributions",
        lambda value: value is None or value in get_args(Distributions),
        " or ".join(get_args(Distributions)),
    ),
    (
        "interval_s",
        _is_within(*_INTERVAL_S),
        f"a number of seconds from {_INTERVAL_S[0]:g} to {_INTERVAL_S[1]:g}",
    ),
    (
        "datagram_bytes",
        lambda value: value is None or (isinstance(value, int) and _is_bytes(value)),
        f"a whole number from {_BYTES[0]:,} to {_BYTES[1]:,}",
    ),
)
