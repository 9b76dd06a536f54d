"""What a handler is, and what it is given.

Rules:
- what handlers get is shared between them: to be read, not changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, TypedDict

from shmtel.errors import ShmtelError
from shmtel.hub.lanes import Lane
from shmtel.hub.records import Record
from shmtel.wire.frames import Worker

QUEUE_BATCHES = 1_024

EventFunction = Callable[[str, Mapping[str, float], Mapping[str, Any], Any], object]


class LaneOptions(TypedDict, total=False):
    """How a handler is called apart from the others.

    own_thread: in a thread of its own, so that it holds up nobody else.
    ack: `handled`: what it has not finished is not acknowledged; `queued`: what is
        in its queue is, and is lost to it when the hub dies.
    queue_batches: how many segments may wait with `queued`; it misses what is more.
    """

    own_thread: bool
    ack: Literal["handled", "queued"]
    queue_batches: int


def room_of(options: LaneOptions) -> int | None:
    """Return how many segments a handler's queue holds; None: what the credit allows.

    Raises:
        ValueError: the options are wrong.
    """
    if options.get("ack", "handled") == "handled":
        return None
    if not options.get("own_thread"):
        raise ValueError("a queue needs a thread of its own: own_thread=True")
    return options.get("queue_batches", QUEUE_BATCHES)


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events of one segment that a batch handler asked for.

    `names[record.event_id]` is the name of a record's event. Events up to seq
    `redelivered_through` may have been handed out by a hub that was killed before
    it could note that; 0: none of these.
    """

    node: str
    worker: Worker
    ring_id: str
    names: Sequence[str]
    records: Sequence[Record]
    redelivered_through: int = 0


BatchFunction = Callable[[EventBatch, Any], object]


class RequiredHandlerError(ShmtelError):
    """A handler that the hub does not run without has raised (the cause)."""


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """An attached function."""

    handler_id: str
    patterns: tuple[str, ...]
    function: Callable[..., object]
    config: Any
    is_batch: bool
    is_required: bool = False
    holds_ack: bool = True  # until it has finished
    lane: Lane[Any] | None = field(default=None, repr=False)  # its own thread

    def wants(self, event: str) -> bool:
        """Tell whether an event of this name goes to this handler."""
        return any(fnmatchcase(event, pattern) for pattern in self.patterns)

    def concerns(self, pattern: str) -> bool:
        """Tell whether a name or glob has to do with this handler."""
        return self.wants(pattern) or any(
            fnmatchcase(own, pattern) for own in self.patterns
        )
