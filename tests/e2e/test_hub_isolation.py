"""One handler raises, one blocks, scrapers hang: nobody else notices.

`make isolation SECONDS=30` has one block for half a minute, with two million events;
without it a short form.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from support.collector_process import CollectorProcess
from support.emitter import Emitter
from support.http import scrape, total
from support.processes import wait_until
from support.troubled_hub import Ack, TroubledHub

BLOCK_S = float(os.environ.get("BLOCK_SECONDS", "1.5"))
WAIT_S = 30.0
ROUND = 2_000  # events of each worker, with a pause after it
PAUSE_S = 0.05
# Of a queue that is full, and what allocators keep.
_MISSED = "shmtel_hub_events_missed_total"
MEMORY_MAX_BYTES = 32 << 20  # ten were measured, and 67 with a queue without an end


class Scene:
    """Such a hub, a collector and two workers."""

    def __init__(self, stack: ExitStack, namespace: str, place: Path, ack: Ack) -> None:
        self.hub = TroubledHub(place, ack)
        stack.enter_context(self.hub.process)
        address = self.hub.process.address
        self.collector = stack.enter_context(
            CollectorProcess(namespace, address, place / "c")
        )
        self.workers = [
            stack.enter_context(Emitter(namespace, SHMTEL_RING_SIZE="4MiB"))
            for _ in range(2)
        ]
        self.emitted = 0

    def emit(self) -> None:
        """Have each worker emit a round of events."""
        for worker in self.workers:
            worker.emit(ROUND)
            self.emitted += ROUND

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Hold up the handler that blocks; emit for so long as that is asked for."""
        self.hub.process.wedge()
        deadline = time.monotonic() + BLOCK_S
        while time.monotonic() < deadline:
            self.emit()
            time.sleep(PAUSE_S)
        yield
        self.hub.process.release()

    def memory_bytes(self) -> int:
        """How much memory the hub takes."""
        return int(psutil.Process(self.hub.process.pid).memory_info().rss)

    def check_each_once(self) -> None:
        """See that the handler that is well has each committed event once, in order."""
        account = self.collector.wait_quiet().total
        assert account.emitted == self.emitted
        assert (account.unaccounted, account.lost) == (0, {})
        assert account.delivered == account.committed
        last_seqs = self.hub.process.check_each_once()
        assert sum(last_seqs.values()) == account.committed


@contextmanager
def hanging_scrapers(url: str) -> Iterator[None]:
    """Connect as scrapers do that say nothing, half of it, or read no answer."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    ask = b"GET /metrics HTTP/1.1\r\nHost: hub\r\n\r\n"
    with ExitStack() as stack:
        for said in (b"", ask[:20], ask * 200):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
            client.connect((host, int(port)))
            client.sendall(said)
        yield


def test_one_that_only_queues_holds_nobody(namespace: str, tmp_path: Path) -> None:
    """Acks go on while it blocks; what it misses is counted, and memory is bounded."""
    with ExitStack() as stack:
        scene = Scene(stack, namespace, tmp_path, "queued")
        hub = scene.hub
        scene.emit()
        scene.check_each_once()
        stack.enter_context(hanging_scrapers(hub.url))
        before_bytes = scene.memory_bytes()
        by_another = total(scrape(hub.url), _MISSED)  # the one that has raised
        with scene.blocked():
            finished = hub.finished()
            scene.check_each_once()
            values = scrape(hub.url)
            assert hub.finished() == finished
            assert scene.memory_bytes() - before_bytes < MEMORY_MAX_BYTES
        missed = int(total(values, _MISSED) - by_another)
        assert missed > 0
        wait_until(lambda: hub.finished() == hub.process.count() - missed, WAIT_S)
        assert total(values, "shmtel_hub_handler_failures_total") == 1
        assert hub.own_events() == ["handler.failure"]


def test_what_is_acknowledged_has_been_handled(namespace: str, tmp_path: Path) -> None:
    """Of what blocks no event counts as delivered before; the others have them all."""
    with ExitStack() as stack:
        scene = Scene(stack, namespace, tmp_path, "handled")
        hub = scene.hub
        stack.enter_context(hanging_scrapers(hub.url))
        before_bytes = scene.memory_bytes()
        with scene.blocked():
            wait_until(lambda: hub.process.count() > ROUND, WAIT_S)
            assert scene.collector.ledger().total.delivered <= hub.finished() == 0
            values = scrape(hub.url)
            assert total(values, "shmtel_events_total") == 0
            assert scene.memory_bytes() - before_bytes < MEMORY_MAX_BYTES
        scene.check_each_once()
        wait_until(lambda: hub.finished() == hub.process.count(), WAIT_S)
        values = scrape(hub.url)
        assert total(values, "shmtel_hub_handler_failures_total") == 1
        assert total(values, "shmtel_events_total") == hub.process.count()
