"""One `shmtel hub` after the other, on one state and one address, with its metrics."""

import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

from shmtel.hub.positions import FILE_NAME
from support.http import Values, scrape
from support.processes import wait_until
from support.program import PROGRAM, clean_environment

WAIT_S = 30.0
# Of what `support.emitter` emits: each number once, so that the sum tells.
CONFIG = """
[[metrics]]
kind = "sum"
name = "emitter.numbers"
event = "emitter.event"
measurement = "number"
tags = ["pool_name"]

[[metrics]]
kind = "last_value"
name = "emitter.last"
event = "emitter.event"
measurement = "number"
tags = ["worker_id"]

[[metrics]]
kind = "counter"
name = "emitter.by_worker"
event = "emitter.event"
tags = ["worker_id"]
"""


class MeteredHub:
    """A hub with the default metrics and some of the emitter's."""

    def __init__(self, directory: Path, config: str = "") -> None:
        """Prepare one, with more in its configuration file."""
        self.address = f"unix:{directory / 'hub.sock'}"
        self.state_dir = directory / "hub-state"
        self.url = "http://127.0.0.1:0"
        self._config = directory / "hub.toml"
        self._config.write_text(config + CONFIG)
        self._log_path = directory / "hub.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "MeteredHub":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(signal.SIGKILL)

    def start(self) -> None:
        """Start a hub, at the place of the one before it."""
        Path(self.address.removeprefix("unix:")).unlink(missing_ok=True)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(PROGRAM, "hub", "--listen", self.address),
                    *("--state-dir", str(self.state_dir)),
                    *("--http", self.url.removeprefix("http://")),
                    *("--config", str(self._config)),
                ],
                env=clean_environment(),
                stderr=log,
            )
        try:
            self.url = wait_until(self._said, WAIT_S)[1]
        except BaseException:
            self.end(signal.SIGKILL)
            raise

    def _said(self) -> "re.Match[str] | None":
        return re.search(r"metrics at (\S+)/metrics", self._log_path.read_text())

    def end(self, number: signal.Signals) -> None:
        """End it."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(WAIT_S)

    def scrape(self) -> Values:
        """Return what it exposes."""
        return scrape(self.url)

    @contextmanager
    def committing_nothing(self) -> Iterator[None]:
        """Keep it from writing its table, as a disk that does not answer."""
        with closing(sqlite3.connect(self.state_dir / FILE_NAME)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
