"""A hub in a process of its own, whose handler can be held up, and what it got.

Run as a program it is the hub: it prints its address, and ends on SIGTERM. Its
handler appends a line per segment to a file (ring id, first and last seq), so
that what a killed or stopped hub got is known. While a second file exists the
handler of each segment waits, after it has written its line.
"""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from support.program import clean_environment

WEDGED_LOOK_S = 0.02
LOOK_S = 0.2
STOP_S = 20.0


class HubProcess:
    """One hub after the other, on one address and one file of what they got.

    Args:
        program: what the hub is, if not this module.
    """

    def __init__(
        self,
        address: str,
        directory: Path,
        *options: str,
        program: str = "support.hub_process",
    ) -> None:
        self.address = address
        self._program = program
        self._notes = directory / "segments"
        self._wedge = directory / "wedge"
        self._options = options
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "HubProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The pid of the hub that runs."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start a hub, and wait until it listens."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", self._program),
                *(self.address, str(self._notes), str(self._wedge), *self._options),
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",  # where no source of ours shadows the installed build
            env=clean_environment(PYTHONPATH=str(Path(__file__).parent.parent)),
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address, "the hub did not start"

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wedge(self) -> None:
        """Hold up the handler from the next segment on."""
        self._wedge.touch()

    def release(self) -> None:
        """Let the handler go on."""
        self._wedge.unlink()

    def stop(self) -> float:
        """End it in good order; return the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # it shows what its threads do
            raise
        assert self.process.returncode == 0
        return time.monotonic() - began

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def segments(self) -> list[tuple[str, int, int]]:
        """Ring, first and last seq of each segment that a hub got, in order."""
        return read_segments(self._notes)

    def count(self) -> int:
        """How many events a hub got."""
        return sum(last - first + 1 for _, first, last in self.segments())

    def check_each_once(self) -> dict[str, int]:
        """See that each ring came whole, once and in order; return the last seqs."""
        last_seqs: dict[str, int] = {}
        for ring, first, last in self.segments():
            assert first == last_seqs.get(ring, 0) + 1, (ring, first, last_seqs)
            last_seqs[ring] = last
        return last_seqs


def read_segments(notes: Path) -> list[tuple[str, int, int]]:
    """Return what a handler has noted: ring, first and last seq of each segment."""
    if not notes.exists():
        return []
    lines = notes.read_text().rpartition("\n")[0].splitlines()
    parts = [line.split() for line in lines]
    return [(ring, int(first), int(last)) for ring, first, last in parts]


# -- in the hub ---------------------------------------------------------------


def _main(address: str, notes: str, wedge: str, *options: str) -> None:
    from shmtel.hub import Hub

    faulthandler.enable()
    state_dir = Path(options[0]) if options else None
    with (
        open(notes, "a", buffering=1) as file,
        Hub(address, state_dir=state_dir) as hub,
    ):

        def note(batch: Any, _config: object) -> None:
            seqs = [record.seq for record in batch.records]
            assert seqs == list(range(seqs[0], seqs[-1] + 1))
            print(batch.ring_id, seqs[0], seqs[-1], file=file)
            while os.path.exists(wedge):
                time.sleep(WEDGED_LOOK_S)

        hub.attach_batch("note", "*", note)
        is_over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: is_over.set())
        print(hub.address, flush=True)
        # A signal that another thread takes wakes no wait without an end.
        while not is_over.wait(LOOK_S):
            pass


if __name__ == "__main__":
    _main(*sys.argv[1:])
