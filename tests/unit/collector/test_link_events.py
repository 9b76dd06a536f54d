"""What the collector tells of its link to the hub."""

from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from shmtel_collector.journal import Metadata
from shmtel_collector.link_events import JournalSink, LinkEvents


class Noted:
    """A journal that keeps what is recorded."""

    is_open = True

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def record(
        self, event: str, measurements: Mapping[str, int], metadata: Metadata
    ) -> None:
        measured = {key: n for key, n in measurements.items() if key != "duration"}
        self.events.append((event, {**metadata, **measured}))

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def names(self) -> list[str]:
        """Return what was recorded, in order."""
        return [event.removeprefix("grpc.") for event, _ in self.events]


class Stream:
    """A call of grpc.aio that ends, or does not."""

    def __init__(self, code: grpc.StatusCode | None) -> None:
        self._code = code

    def done(self) -> bool:
        return self._code is not None

    async def code(self) -> grpc.StatusCode | None:
        return self._code

    async def details(self) -> str:
        return ""


class Scene:
    """A link in simulated time."""

    def __init__(self, *, is_told: bool = True) -> None:
        self.journal = Noted()
        self.now_ns = 0
        sink = JournalSink(self.journal, is_told=is_told)
        self.link = LinkEvents("hub:1", "/a.B/C", sink, lambda: self.now_ns)

    def dial(self, code: grpc.StatusCode | None, frames: int | None = None) -> None:
        """Open a stream, which the hub accepts if it carries frames, and end it."""
        self.link.dialled()
        self.link.sent()  # before the hub has accepted anything
        for _ in range(frames or 0):
            self.link.accepted()
            self.link.received()
        self.now_ns += 10
        self.link.ended(Stream(code), "gone")
        self.now_ns += 1


def test_a_hub_that_stays_away_is_not_told() -> None:
    """However often it is dialled: else it would fill the ring."""
    scene = Scene()
    for _ in range(1_000):
        scene.dial(grpc.StatusCode.UNAVAILABLE)
    assert scene.journal.events == []
    scene.dial(grpc.StatusCode.OK, frames=3)
    assert scene.journal.events[0][1] == {"target": "hub:1", "attempts": 1_001}


def test_link_is_told_when_it_stands_and_when_not() -> None:
    """A frame is counted, and is no event; what was in vain is counted too."""
    scene = Scene()
    scene.dial(grpc.StatusCode.UNAVAILABLE, frames=3)
    scene.dial(grpc.StatusCode.UNAVAILABLE)
    scene.dial(None, frames=1)
    stand = ["connection.established", "stream.opened"]
    fall = ["stream.closed", "connection.lost"]
    again = ["connection.reconnected", "stream.opened"]
    assert scene.journal.names() == [*stand, *fall, *again, *fall]
    _, _, closed, lost, reconnected, _, given_up, _ = (
        fields for _, fields in scene.journal.events
    )
    assert (closed["status"], closed["received"], closed["sent"]) == (
        "UNAVAILABLE",
        3,
        0,
    )
    assert lost == {"target": "hub:1", "uptime": 10, "reason": "gone"}
    assert reconnected == {"target": "hub:1", "downtime": 12, "attempts": 2}
    assert given_up["status"] == "CANCELLED"


@pytest.mark.parametrize("frames", [0, 5])
def test_link_may_be_untold(frames: int) -> None:
    """With `--no-lifecycle` nothing of it becomes an event."""
    scene = Scene(is_told=False)
    scene.dial(None, frames=frames)
    assert scene.journal.events == []
