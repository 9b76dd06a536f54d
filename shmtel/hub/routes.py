"""Which handlers the events of a ring go to.

Resolved once per ring and event name, and kept until a handler comes or goes or
the ring gets names.

Rules:
- pure data; nothing is called here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shmtel.hub.handlers import EventFunction, Handler
from shmtel.hub.stamp import ring_stamp
from shmtel.wire.frames import Worker


@dataclass(frozen=True, slots=True)
class Attached:
    """The handlers of one moment, by id."""

    version: int
    handlers: Mapping[str, Handler]


# A handler taken apart, because it is called once per event.
Call = tuple[Handler, EventFunction, Any]
# A handler, and the ids of the events that it wants; None: all of them.
Wanting = tuple[Handler, frozenset[int] | None]


@dataclass(frozen=True, slots=True)
class Routes:
    """Where the events of one ring go."""

    version: int
    by_event: tuple[tuple[Call, ...], ...]
    batch: tuple[Wanting, ...]
    lanes: tuple[Wanting, ...]  # with a thread of their own, of both kinds
    has_event_handlers: bool
    wanted: frozenset[int]  # ids of the events that any of them wants

    @property
    def is_wanted(self) -> bool:
        """Whether any handler wants any event of the ring."""
        return self.has_event_handlers or bool(self.batch) or bool(self.lanes)


@dataclass(slots=True)
class Source:
    """A ring on one stream: what its events are stamped with, and their routes."""

    node: str
    worker: Worker
    ring_id: str
    names: list[str]
    stamp: dict[str, object] = field(init=False)
    routes: Routes | None = None

    def __post_init__(self) -> None:
        self.stamp = ring_stamp(self.node, self.worker, self.ring_id)


def resolve(attached: Attached, names: Sequence[str]) -> Routes:
    """Return where events of these names go."""
    handlers = attached.handlers.values()
    inline = [handler for handler in handlers if handler.lane is None]
    per_event = [handler for handler in inline if not handler.is_batch]
    by_event = tuple(
        tuple((h, h.function, h.config) for h in per_event if h.wants(name))
        for name in names
    )
    return Routes(
        version=attached.version,
        by_event=by_event,
        batch=_wanting([handler for handler in inline if handler.is_batch], names),
        lanes=_wanting([h for h in handlers if h.lane is not None], names),
        has_event_handlers=any(by_event),
        wanted=frozenset().union(*(_wanted_ids(h, names) for h in handlers)),
    )


def _wanting(handlers: Sequence[Handler], names: Sequence[str]) -> tuple[Wanting, ...]:
    wanted = {handler: _wanted_ids(handler, names) for handler in handlers}
    return tuple(
        (handler, None if len(ids) == len(names) else ids)
        for handler, ids in wanted.items()
        if ids
    )


def _wanted_ids(handler: Handler, names: Sequence[str]) -> frozenset[int]:
    return frozenset(i for i, name in enumerate(names) if handler.wants(name))
