"""Settings of a collector, and where it keeps its state."""

import os
import socket
from pathlib import Path

import pytest

from shmtel.errors import ConfigurationError
from shmtel_collector.config import (
    CollectorConfig,
    control_path,
    default_state_dir,
    find_control_socket,
    spool_bytes_of,
    state_path,
)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"STATE_DIRECTORY": "/var/lib/shmtel", "XDG_STATE_HOME": "/x"},
            "/var/lib/shmtel",
        ),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/x"}, "/x/shmtel"),
        ({}, str(Path.home() / ".local" / "state" / "shmtel")),
    ],
)
def test_state_directory_follows_the_host(
    environment: dict[str, str], expected: str
) -> None:
    """What systemd gives wins over the user's base directory, and that over home."""
    assert default_state_dir(environment) == Path(expected)


def test_asked_for_directory_wins() -> None:
    """One file per namespace, in the directory that was asked for."""
    assert state_path("web", Path("/s")) == Path("/s/web.sqlite3")


@pytest.mark.parametrize("namespace", ["", "a/b", "a.b", "x" * 65, "../up"])
def test_impossible_namespace_is_refused(namespace: str) -> None:
    """A namespace becomes part of file names."""
    with pytest.raises(ConfigurationError, match="namespace"):
        CollectorConfig(namespace=namespace)


def test_empty_hub_is_refused() -> None:
    """An address must be one."""
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        CollectorConfig(hub="")


@pytest.mark.parametrize(
    ("text", "expected"), [("16MiB", 16 << 20), ("1GiB", 1 << 30), ("3GiB", 3 << 30)]
)
def test_the_size_of_a_spool_is_taken_as_it_is(text: str, expected: int) -> None:
    """It is no power of two, as a ring's is."""
    assert spool_bytes_of(text) == expected


@pytest.mark.parametrize("text", ["", "much", "1MiB", "-1GiB", "1TB"])
def test_a_size_that_no_spool_can_have_is_refused(text: str) -> None:
    """The text says what can be written instead."""
    with pytest.raises(ConfigurationError, match="MiB"):
        spool_bytes_of(text)


def test_the_control_socket_follows_the_host() -> None:
    """systemd's directory first, then the user's, then one in /tmp by user id."""
    service = {"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/u"}
    assert control_path("n", service) == Path("/run/a/n.sock")
    assert control_path("n", {"XDG_RUNTIME_DIR": "/run/u"}) == Path(
        "/run/u/shmtel/n.sock"
    )
    assert control_path("n", {}) == Path(f"/tmp/shmtel-{os.getuid()}/n.sock")


def test_a_socket_that_is_there_is_found(tmp_path: Path) -> None:
    """Only a socket counts; without any the place where it would be is named."""
    environment = {"RUNTIME_DIRECTORY": str(tmp_path / "a"), "XDG_RUNTIME_DIR": "/none"}
    path = tmp_path / "a" / "n.sock"
    path.parent.mkdir()
    path.write_text("")
    assert find_control_socket("n", environment) == path
    environment["RUNTIME_DIRECTORY"] = "/none"
    environment["XDG_RUNTIME_DIR"] = str(tmp_path)
    assert find_control_socket("n", environment) == Path("/none/n.sock")
    (tmp_path / "shmtel").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "shmtel" / "n.sock"))
        assert find_control_socket("n", environment) == tmp_path / "shmtel" / "n.sock"
