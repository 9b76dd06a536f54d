"""What a table may say, and what is told of one that is wrong."""

from typing import Any

import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.bridges.statsd.settings import StatsdSettings, settings_of_table


def test_what_is_not_said_depends() -> None:
    """On where it goes, and on the dialect."""
    assert settings_of_table({}) == StatsdSettings()
    unix = settings_of_table({"address": "unix:/run/x", "dialect": "dogstatsd"})
    assert (unix.path, unix.datagram_max_bytes, unix.has_buckets) == (
        "/run/x",
        8_192,
        False,
    )
    udp = settings_of_table({"address": "[::1]:8125"})
    assert (udp.path, udp.datagram_max_bytes, udp.has_buckets) == (None, 1_432, True)
    assert settings_of_table({"datagram_bytes": 512}).datagram_max_bytes == 512


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "write \\[statsd\\]"),
        ({"addr": "x"}, "did you mean 'address'"),
        ({"address": "localhost"}, "`address` is HOST:PORT"),
        ({"address": "localhost:0"}, "`address` is HOST:PORT"),
        ({"address": "unix:"}, "`address` is HOST:PORT"),
        ({"address": f"unix:/{'x' * 107}"}, "`address` is HOST:PORT"),
        ({"address": "a..b:8125"}, "`address` is HOST:PORT"),
        ({"address": ""}, "`address` is HOST:PORT"),
        ({"address": ["a"]}, "`address` is HOST:PORT"),
        ({"dialect": "datadog"}, "`dialect` is statsd or dogstatsd"),
        ({"prefix": "a."}, "`prefix` is a name"),
        ({"prefix": "a:b"}, "`prefix` is a name"),
        ({"tags": {"env": 1}}, "`tags` is a table of texts"),
        ({"tags": {"env": "prod"}}, "`tags` are of DogStatsD"),
        ({"plain_tags": "names"}, "suffix or drop"),
        ({"distributions": "d"}, "distribution or histogram or buckets"),
        ({"distributions": "histogram"}, "of the dialect statsd are buckets"),
        ({"interval_s": 60}, "from 0.05 to 30"),
        ({"interval_s": float("nan")}, "from 0.05 to 30"),
        ({"interval_s": True}, "from 0.05 to 30"),
        ({"datagram_bytes": 100}, "from 256 to 65,507"),
        ({"datagram_bytes": 512.5}, "a whole number"),
    ],
)
def test_what_is_wrong(table: Any, message: str) -> None:
    """The text names the key and the cure."""
    with pytest.raises(ConfigurationError, match=message):
        settings_of_table(table)
