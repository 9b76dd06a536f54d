"""The installed collector as a process, and a hub that notes what arrives."""

import re
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from shmtel.hub import Hub
from shmtel_collector.journal import WORKER_ID
from shmtel_collector.ledger import Ledger, read_ledger
from support.home import HOME
from support.processes import wait_until
from support.program import PROGRAM, clean_environment, shmtel

_QUIET_S = 30.0  # a line beside other load


class CollectorProcess:
    """One `shmtel collector` after the other, on one state directory."""

    def __init__(
        self,
        namespace: str,
        hub: str,
        directory: Path,
        config: str = "",
        prefix: Sequence[str] = (),
        lifecycle: bool = False,
        **variables: str,
    ) -> None:
        """Prepare; `prefix` is a command that starts each of them.

        With `lifecycle` ends of workers are events too, in a ring of its own.
        """
        self.namespace = namespace
        self.state_dir = directory / "state"
        self.socket = directory / "c.sock"
        self.config = directory / "collector.toml"
        self._hub = hub
        self._variables = variables
        self._prefix = prefix
        self._flags = ("--lifecycle",) if lifecycle else ()
        self._said_before = 0  # characters, by those before it
        directory.mkdir(exist_ok=True)
        self.config.write_text(config)
        self._log_path = directory / "collector.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "CollectorProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        # A killed collector leaves its lock file, for the next one to take.
        Path(HOME.directory, f"shmtel.{self.namespace}.collector").unlink(
            missing_ok=True
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start a collector; its lines go to one log, one after the other."""
        with self._log_path.open("ab") as log:
            self._said_before = len(self.log())
            self._process = subprocess.Popen(
                [
                    *self._prefix,
                    *(PROGRAM, "collector", "--hub", self._hub),
                    *("--namespace", self.namespace, *self._flags),
                    *("--state-dir", str(self.state_dir)),
                    *("--socket", str(self.socket), "--config", str(self.config)),
                ],
                env=clean_environment(**self._variables),
                stderr=log,
            )
        return self._process

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Ask it as an operator of this host."""
        return shmtel("ctl", *arguments, "--socket", str(self.socket))

    def send_signal(self, number: signal.Signals) -> None:
        """Stop it or let it go on, say."""
        assert self._process is not None
        self._process.send_signal(number)

    def memory_bytes(self) -> int:
        """How much memory it takes now."""
        assert self._process is not None
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """End it in good order; return its exit code and the seconds that took."""
        assert self._process is not None
        started = time.monotonic()
        self._process.send_signal(number)
        code = self._process.wait(20)
        return code, time.monotonic() - started

    @property
    def pid(self) -> int:
        """The pid of the collector that runs."""
        assert self._process is not None
        return self._process.pid

    def wait(self) -> int:
        """Wait until it ends by itself, and return its exit code."""
        assert self._process is not None
        return self._process.wait(20)

    def log(self) -> str:
        """Everything it has said."""
        return self._log_path.read_text()

    def url(self) -> str:
        """Where the last one of them serves its endpoints."""

        def said() -> "re.Match[str] | None":
            text = self.log()[self._said_before :]
            return re.search(r"metrics at (\S+)/metrics", text)

        found: re.Match[str] = wait_until(said, _QUIET_S)
        return found[1]

    def ledger(self) -> Ledger:
        """The ledger of the namespace, as it stands."""
        return read_ledger(self.namespace, self.state_dir, HOME)

    def wait_quiet(self) -> Ledger:
        """Wait until no committed event is on its way any more."""

        def is_quiet() -> Ledger | None:
            total = (ledger := self.ledger()).total
            return None if total.in_ring or total.in_flight else ledger

        try:
            ledger: Ledger = wait_until(is_quiet, _QUIET_S)
        except TimeoutError as error:
            raise TimeoutError(f"still under way: {self.ledger().total}") from error
        return ledger


class NotingHub:
    """A real hub in this process, and the seqs that it was given, by ring."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.hub = Hub(address)
        self.seqs: dict[str, list[int]] = defaultdict(list)
        self.own_seqs: dict[str, list[int]] = defaultdict(list)  # of the collector
        self._lock = threading.Lock()
        self.hub.attach_batch("note", "*", self._note)

    def __enter__(self) -> "NotingHub":
        self.hub.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hub.stop()

    def count(self) -> int:
        """How many events have arrived."""
        with self._lock:
            return sum(map(len, self.seqs.values()))

    def _note(self, batch: Any, config: object) -> None:
        # How many events a collector has of its own is its affair.
        is_own = batch.worker.worker_id == WORKER_ID
        seqs = self.own_seqs if is_own else self.seqs
        with self._lock:
            ring_id = batch.ring_id
            name = ring_id if isinstance(ring_id, str) else ring_id.hex()
            seqs[name].extend(record.seq for record in batch.records)
