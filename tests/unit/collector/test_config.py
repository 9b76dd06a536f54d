"""Settings of a collector, and where it keeps its state."""

from pathlib import Path

import pytest

from shmtel.errors import ConfigurationError
from shmtel_collector.config import CollectorConfig, default_state_dir, state_path


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
