"""Where endpoints listen."""

import pytest

from shmtel.endpoints.address import http_url, parse_http_address
from shmtel.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9748", ("127.0.0.1", 9748)),
        ("host.example:0", ("host.example", 0)),
        ("[::1]:80", ("::1", 80)),
        ("off", None),
    ],
)
def test_addresses(text: str, address: tuple[str, int] | None) -> None:
    """Host and port, with brackets around what has colons, or nowhere."""
    assert parse_http_address(text) == address


@pytest.mark.parametrize("text", ["", "9748", ":9748", "::1:80", "h:70000", "h:x"])
def test_what_is_no_address(text: str) -> None:
    """The message says what one looks like."""
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        parse_http_address(text)


def test_urls() -> None:
    """What is told can be pasted into a browser."""
    assert http_url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert http_url("::1", 80) == "http://[::1]:80"
