"""Running hubs, and handlers that remember."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shmtel.hub import Hub
from shmtel.hub.handlers import EventBatch
from shmtel.hub.parts import Parts
from shmtel.hub.services import Services

WAIT_S = 10.0


@contextmanager
def running_hub(**options: Any) -> Iterator[Hub]:
    """Yield a hub on a free port."""
    with Hub("127.0.0.1:0", **options) as hub:
        yield hub


_made: list[Parts] = []


def make_services(state_dir: Path | None = None) -> Services:
    """Return the parts that the streams of a hub share, until `end_services`."""
    _made.append(Parts(state_dir))
    return _made[-1].services


def end_services() -> None:
    """End all that were made, with their threads."""
    while _made:
        parts = _made.pop()
        for part in (parts.events, parts.dispatcher, parts.committer):
            part.close(1.0)
        parts.close()


class Seqs:
    """A batch handler that remembers the seqs it got; it can be held up."""

    def __init__(self, patience_s: float = WAIT_S) -> None:
        self._patience_s = patience_s
        self.seqs: list[int] = []
        self.entered = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, batch: EventBatch, _config: object = None) -> None:
        """Remember, and wait while held up."""
        self.entered.set()
        assert self.may_go_on.wait(self._patience_s)
        self.seqs += [record.seq for record in batch.records]

    def hold(self) -> None:
        """Make the next call wait for `may_go_on`."""
        self.entered.clear()
        self.may_go_on.clear()


def fail(
    _event: str, _measurements: Mapping[str, float], _metadata: object, _config: object
) -> None:
    """Raise, as a broken handler does."""
    raise RuntimeError("broken handler")
