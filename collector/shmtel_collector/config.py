"""Settings of a collector, and where it keeps its state.

The program that starts the collector fills in a `CollectorConfig`; nothing
here reads flags. The state directory follows the habits of the host: systemd's
STATE_DIRECTORY first, then the XDG base directory of the user.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shmtel.config import parse_namespace
from shmtel.errors import ConfigurationError
from shmtel_collector.guard import Guard

DEFAULT_HUB = "127.0.0.1:4737"
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """What a collector needs to know; `state_dir` None means the default."""

    hub: str = DEFAULT_HUB
    namespace: str = DEFAULT_NAMESPACE
    state_dir: Path | None = None
    guard: Guard = field(default_factory=Guard)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: one of them cannot work; the text says why.
        """
        try:
            parse_namespace(self.namespace)
        except ValueError as error:
            raise ConfigurationError(
                f"namespace {self.namespace!r} is refused: {error}"
            ) from error
        if not self.hub:
            raise ConfigurationError("the address of the hub is empty; use HOST:PORT")


def default_state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where state is kept when nobody said otherwise."""
    service = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if service:  # systemd lists several, separated by colons
        return Path(service)
    user = environment.get("XDG_STATE_HOME", "")
    base = Path(user) if user else Path.home() / ".local" / "state"
    return base / "shmtel"


def control_path(namespace: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where a collector listens for this host's operators."""
    return _control_directories(environment)[0] / f"{namespace}.sock"


def find_control_socket(
    namespace: str, environment: Mapping[str, str] = os.environ
) -> Path:
    """Return where a collector listens, also one of the system; else where it would.

    A socket in a directory of another user's making is passed over, unless that
    is the superuser: it would learn what we ask, and answer what it likes.
    """
    places = [*_control_directories(environment), Path("/run/shmtel")]
    for directory in places:
        path = directory / f"{namespace}.sock"
        with contextlib.suppress(OSError):
            if directory.stat().st_uid in (0, os.getuid()) and path.is_socket():
                return path
    return control_path(namespace, environment)


def _control_directories(environment: Mapping[str, str]) -> list[Path]:
    """Return the directories of this user, the one to use first."""
    service = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    user = environment.get("XDG_RUNTIME_DIR", "")
    return [
        *([Path(service)] if service else []),
        *([Path(user) / "shmtel"] if user else []),
        Path(f"/tmp/shmtel-{os.getuid()}"),
    ]


def state_path(namespace: str, state_dir: Path | None) -> Path:
    """Return the path of a namespace's state database."""
    return (state_dir or default_state_dir()) / f"{namespace}.sqlite3"
