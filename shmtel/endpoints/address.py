"""Where endpoints listen, as a person writes it."""

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
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        raise ConfigurationError(
            f"{text!r} is no address for HTTP; use HOST:PORT, [HOST]:PORT, or `off`"
        )
    return found["six"] or found["host"], int(found["port"])


def http_url(host: str, port: int) -> str:
    """Return what a browser is told."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
