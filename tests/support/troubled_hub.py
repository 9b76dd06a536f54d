"""A hub with a handler that raises, one that blocks, and one that is well.

Run as a program, as `support.hub_process` runs it: the one that is well notes its
segments, the one that blocks does so in a file beside, when it has finished them. It
is in a thread of its own, and waits while the wedge is there. What the hub itself
emits, and where its metrics are, is noted in two more files.
"""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

from support.hub_process import HubProcess, read_segments

LOOK_S = 0.02
QUEUE_BATCHES = 8
Ack = Literal["handled", "queued"]


class TroubledHub:
    """Such a hub, and what its handlers got."""

    def __init__(self, directory: Path, ack: Ack) -> None:
        self._directory = directory
        self.process = HubProcess(
            f"unix:{directory / 'hub.sock'}",
            directory,
            ack,
            program="support.troubled_hub",
        )

    @property
    def url(self) -> str:
        """Where its metrics are."""
        return (self._directory / "url").read_text()

    def finished(self) -> int:
        """How many events the handler that blocks is done with."""
        segments = read_segments(self._directory / "finished")
        return sum(last - first + 1 for _, first, last in segments)

    def own_events(self) -> list[str]:
        """Names of events that the hub itself has emitted."""
        path = self._directory / "own"
        return path.read_text().split() if path.exists() else []


# -- in the hub ---------------------------------------------------------------


def _raise(_batch: Any, _config: object) -> None:
    raise RuntimeError("broken handler")


def _main(address: str, notes: str, wedge: str, ack: Ack) -> None:
    from shmtel.endpoints.server import HttpServer
    from shmtel.hub import Hub
    from shmtel.hub.measures.defaults import default_metrics
    from shmtel.hub.watched import WatchedHub

    directory, is_blocked = Path(notes).parent, Path(wedge)
    with (
        open(notes, "a", buffering=1) as seen,
        open(directory / "finished", "a", buffering=1) as finished,
        open(directory / "own", "a", buffering=1) as own,
        Hub(address) as hub,
    ):

        def note(batch: Any, file: Any) -> None:
            if batch.worker.worker_id == "hub":
                print(*(batch.names[r.event_id] for r in batch.records), file=own)
                return
            seqs = [record.seq for record in batch.records]
            assert seqs == list(range(seqs[0], seqs[-1] + 1))
            print(batch.ring_id, seqs[0], seqs[-1], file=file)

        def block(batch: Any, file: Any) -> None:
            while is_blocked.exists():
                time.sleep(LOOK_S)
            if batch.worker.worker_id != "hub":
                note(batch, file)

        lane: Any = {} if ack == "handled" else {"queue_batches": QUEUE_BATCHES}
        hub.attach_metrics(default_metrics())
        hub.attach_batch("raises", "*", _raise)
        hub.attach_batch(
            *("blocks", "*", block, finished), own_thread=True, ack=ack, **lane
        )
        hub.attach_batch("well", "*", note, seen)
        endpoints = HttpServer(WatchedHub(hub), "127.0.0.1", 0)
        (directory / "url").write_text(endpoints.open())
        is_over = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: is_over.set())
        print(hub.address, flush=True)
        while not is_over.wait(LOOK_S):
            pass
        endpoints.close()


if __name__ == "__main__":
    _main(
        sys.argv[1],
        sys.argv[2],
        sys.argv[3],
        "queued" if sys.argv[4] == "queued" else "handled",
    )
