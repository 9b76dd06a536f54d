"""Addresses as a person writes them."""

import re

from shmtel.errors import ConfigurationError

OFF = "off"
_ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]+)):(?P<port>\d{1,5})"
)


def parse_http_address(text: str) -> tuple[str, int] | None:
    """Return host and port; None: nowhere.

    Raises:
        ConfigurationError: it is neither an address nor `off`.
    """
    if text == OFF:
        return None
    found = host_and_port(text)
    if found is None:
        raise ConfigurationError(
            f"{text!r} is no address for HTTP; use HOST:PORT, [HOST]:PORT, or `off`"
        )
    return found


def host_and_port(text: str) -> tuple[str, int] | None:
    """Read HOST:PORT, or [HOST]:PORT for IPv6; None: it is neither."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        return None
    return found["six"] or found["host"], int(found["port"])


def http_url(host: str, port: int) -> str:
    """Return what a browser is told."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
