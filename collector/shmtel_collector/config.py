"""Settings of a collector, where it keeps its state, and where it is reached.

The program that starts the collector fills in a `CollectorConfig`; nothing
here reads flags. Directories follow the habits of the host: systemd's
STATE_DIRECTORY and RUNTIME_DIRECTORY first, then the XDG base directories of
the user.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shmtel.config import parse_bytes, parse_namespace
from shmtel.endpoints.address import OFF, parse_http_address
from shmtel.errors import ConfigurationError
from shmtel_collector.guard import Guard
from shmtel_collector.measurements import ResourceSettings

DEFAULT_HUB = "127.0.0.1:4737"
DEFAULT_NAMESPACE = "default"
DEFAULT_SPOOL_BYTES = 1 << 30
SPOOL_LEAST_BYTES = 16 << 20
SYSTEM_DIR = Path("/run/shmtel")  # where systemd makes RuntimeDirectory=shmtel


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """What a collector needs to know.

    Attributes:
        state_dir: None: the default.
        socket: where operators reach it; None: the default.
        spool_dir: where events are kept that the hub does not take in time; None:
            nowhere.
        spool_max_bytes: of what is kept there.
        directory: where the rings live, by its absolute path; None: POSIX.
        lifecycle: beginnings and ends of workers and the link to the hub become events.
        status_interval_ns: between events about the state of each pool; 0: none.
        resources: what is measured of each worker's process.
        guard: limits that nothing from afar lifts.
        catalog: files that add to the catalog of events, in their order.
        http: where metrics and health are served, HOST:PORT or `off`.
    """

    hub: str = DEFAULT_HUB
    namespace: str = DEFAULT_NAMESPACE
    state_dir: Path | None = None
    socket: Path | None = None
    spool_dir: Path | None = None
    spool_max_bytes: int = DEFAULT_SPOOL_BYTES
    directory: str | None = None
    lifecycle: bool = True
    status_interval_ns: int = 0
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    guard: Guard = field(default_factory=Guard)
    catalog: tuple[Path, ...] = ()
    http: str = OFF

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
        parse_http_address(self.http)
        if not self.hub:
            raise ConfigurationError("the address of the hub is empty; use HOST:PORT")


def spool_bytes_of(text: str) -> int:
    """Read the size of a spool.

    Raises:
        ConfigurationError: it is none, or too small; the text says why.
    """
    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise ConfigurationError(f"the spool's size {text!r}: {error}") from error
    if size < SPOOL_LEAST_BYTES:
        raise ConfigurationError(
            f"the spool's size {text!r}: use {SPOOL_LEAST_BYTES >> 20}MiB or more"
        )
    return size


def default_state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where state is kept when nobody said otherwise."""
    service = _first(environment, "STATE_DIRECTORY")
    if service:
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
    is the superuser: it would learn what we ask, and answer what it likes. Of the
    system's directory only the superuser can have said whose it is.
    """
    places = [*_control_directories(environment), SYSTEM_DIR]
    for directory in places:
        path = directory / f"{namespace}.sock"
        with contextlib.suppress(OSError):
            is_trusted = directory == SYSTEM_DIR or (
                directory.stat().st_uid in (0, os.getuid())
            )
            if is_trusted and path.is_socket():
                return path
    return control_path(namespace, environment)


def _control_directories(environment: Mapping[str, str]) -> list[Path]:
    """Return the directories of this user, the one to use first."""
    service = _first(environment, "RUNTIME_DIRECTORY")
    user = environment.get("XDG_RUNTIME_DIR", "")
    return [
        *([Path(service)] if service else []),
        *([Path(user) / "shmtel"] if user else []),
        Path(f"/tmp/shmtel-{os.getuid()}"),
    ]


def state_path(namespace: str, state_dir: Path | None) -> Path:
    """Return the path of a namespace's state database."""
    return (state_dir or default_state_dir()) / f"{namespace}.sqlite3"


def _first(environment: Mapping[str, str], variable: str) -> str:
    """Of several directories systemd makes a list, separated by colons."""
    return environment.get(variable, "").split(":")[0]
