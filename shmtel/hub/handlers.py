"""What a handler is, and what it is given.

Rules:
- what handlers get is shared between them: to be read, not changed;
- what is wrong with a handler is a ValueError when it is attached: a call with it
  later would end the stream that it is made on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, TypedDict, get_args

from shmtel.errors import ShmtelError
from shmtel.hub.lanes import Lane
from shmtel.hub.records import Record
from shmtel.wire.frames import Worker

QUEUE_BATCHES = 1_024
Ack = Literal["handled", "queued"]

EventFunction = Callable[[str, Mapping[str, float], Mapping[str, Any], Any], object]


class LaneOptions(TypedDict, total=False):
    """How a handler is called apart from the others.

    own_thread: in a thread of its own, so that it holds up nobody else; a coroutine
        function always is.
    ack: `handled`: what it has not finished is not acknowledged; `queued`: what is
        in its queue is, and is lost to it when the hub dies.
    queue_batches: how many segments may wait with `queued`; it misses what is more.
    """

    own_thread: bool
    ack: Ack
    queue_batches: int


def room_of(options: LaneOptions) -> int | None:
    """Return how many segments a handler's queue holds; None: what the credit allows.

    Raises:
        ValueError: the options are wrong.
    """
    unknown = options.keys() - LaneOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(LaneOptions.__annotations__)
        raise ValueError(f"no option {min(unknown)!r}; there are {known}")
    own_thread = options.get("own_thread", False)
    if not isinstance(own_thread, bool):
        raise ValueError(f"own_thread is True or False, not {own_thread!r}")
    ack, room = options.get("ack", "handled"), options.get("queue_batches")
    if ack not in get_args(Ack):
        raise ValueError(f"ack is {' or '.join(get_args(Ack))}, not {ack!r}")
    if ack == "handled":
        if room is not None:
            raise ValueError("queue_batches bounds what is acknowledged: ack='queued'")
        return None
    if not own_thread:
        raise ValueError("a queue needs a thread of its own: own_thread=True")
    if room is None:
        return QUEUE_BATCHES
    if not isinstance(room, int) or isinstance(room, bool) or room < 1:
        raise ValueError(f"queue_batches is a number of 1 or more, not {room!r}")
    return room


def judged_patterns(
    handler_id: str, events: Iterable[str], function: Callable[..., object]
) -> tuple[str, ...]:
    """Return the names and globs of a handler.

    Raises:
        ValueError: they, or its id, or the function, are something else.
    """
    if not isinstance(handler_id, str) or not handler_id:
        raise ValueError(f"the id of a handler is a text, not {handler_id!r}")
    if isinstance(events, str):
        raise ValueError(f"the events of {handler_id!r} are several: [{events!r}]")
    patterns = tuple(events)
    if not patterns:
        raise ValueError(f"handler {handler_id!r} is attached to no event")
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(
                f"handler {handler_id!r} is for names or globs of events, "
                f"not for {pattern!r}"
            )
    if not callable(function):
        raise ValueError(f"handler {handler_id!r} cannot be called: {function!r}")
    return patterns


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
