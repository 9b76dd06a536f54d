"""Handlers, and the way of an event to them.

A handler is attached under an id to names or globs of events (`fnmatchcase`,
`*` crosses dots) and gets either one event per call or all matching events of a
segment at once. Which handlers an event goes to is resolved once per ring and
event name and kept until a handler comes or goes or the ring gets names.

A handler that raises is detached, logged and counted; the event goes on to the
others. Whatever it raises: a sys.exit() in a handler shall not end the thread
that serves a host.

A handler that must not lose can be attached as required: when it raises, what
it was called with must not count as delivered. It stays attached, `deliver`
raises and does so from then on, and the caller acknowledges nothing more.

Rules:
- each stream delivers from a thread of its own, so a handler is called from
  several threads when several collectors are connected;
- what handlers get is shared between them: to be read, not changed;
- attach and detach act from the next segment on; a segment in work is finished
  with the handlers it began with, except those that raised.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from shmtel.errors import ShmtelError
from shmtel.hub.records import Record
from shmtel.hub.stamp import ring_stamp, stamped
from shmtel.wire.frames import Worker

_log = logging.getLogger(__name__)

EventFunction = Callable[[str, Mapping[str, float], Mapping[str, Any], Any], object]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events of one segment that a batch handler asked for.

    `names[record.event_id]` is the name of a record's event.
    """

    node: str
    worker: Worker
    ring_id: str
    names: Sequence[str]
    records: Sequence[Record]


class RequiredHandlerError(ShmtelError):
    """A handler that the hub does not run without has raised (the cause)."""


BatchFunction = Callable[[EventBatch, Any], object]


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """An attached function."""

    handler_id: str
    patterns: tuple[str, ...]
    function: Callable[..., object]
    config: Any
    is_batch: bool
    is_required: bool = False

    def wants(self, event: str) -> bool:
        """Tell whether an event of this name goes to this handler."""
        return any(fnmatchcase(event, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class _Attached:
    version: int
    handlers: Mapping[str, Handler]


# A handler taken apart, because it is called once per event.
_Call = tuple[Handler, EventFunction, Any]


@dataclass(frozen=True, slots=True)
class Routes:
    """Where the events of one ring go, by event id."""

    version: int
    by_event: tuple[tuple[_Call, ...], ...]
    batch: tuple[tuple[Handler, frozenset[int] | None], ...]  # None: all of them
    has_event_handlers: bool

    @property
    def is_wanted(self) -> bool:
        """Whether any handler wants any event of the ring."""
        return self.has_event_handlers or bool(self.batch)


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


class Dispatcher:
    """The handlers of a hub."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attached = _Attached(0, {})
        self.handler_failures = 0
        self.failure: RequiredHandlerError | None = None  # the first one

    def attach(
        self,
        handler_id: str,
        events: Iterable[str],
        function: Callable[..., object],
        config: Any = None,
        *,
        is_batch: bool = False,
        is_required: bool = False,
    ) -> None:
        """Attach a function to events.

        Raises:
            ValueError: the id is taken, or there are no events.
        """
        patterns = tuple(events)
        if not patterns:
            raise ValueError(f"handler {handler_id!r} is attached to no event")
        handler = Handler(handler_id, patterns, function, config, is_batch, is_required)
        with self._lock:
            if handler_id in self._attached.handlers:
                raise ValueError(f"a handler {handler_id!r} is attached already")
            self._replace({**self._attached.handlers, handler_id: handler})

    def detach(self, handler_id: str) -> bool:
        """Detach a handler; tell whether there was one."""
        with self._lock:
            handlers = dict(self._attached.handlers)
            was_there = handlers.pop(handler_id, None) is not None
            if was_there:
                self._replace(handlers)
            return was_there

    def handlers(self) -> list[Handler]:
        """Return what is attached, oldest first."""
        return list(self._attached.handlers.values())

    def routes(self, source: Source) -> Routes:
        """Return where the events of a ring go now."""
        routes, attached = source.routes, self._attached
        if (
            routes is None
            or routes.version != attached.version
            or len(routes.by_event) != len(source.names)
        ):
            routes = source.routes = _resolve(attached, source.names)
        return routes

    def deliver(self, source: Source, records: Sequence[Record]) -> None:
        """Call the handlers; return when all of them have.

        Raises:
            RequiredHandlerError: the events must not count as delivered.
        """
        if self.failure is not None:
            raise self.failure
        for handler, event_ids in self.routes(source).batch:
            self._deliver_batch(source, records, handler, event_ids)
        if self.routes(source).has_event_handlers:
            self._deliver_each(source, records)

    def _deliver_batch(
        self,
        source: Source,
        records: Sequence[Record],
        handler: Handler,
        event_ids: frozenset[int] | None,
    ) -> None:
        if event_ids is not None:
            records = [record for record in records if record.event_id in event_ids]
        if not records:
            return
        batch = EventBatch(
            source.node, source.worker, source.ring_id, source.names, records
        )
        try:
            handler.function(batch, handler.config)
        except BaseException as error:
            self._fail(handler, error)

    def _deliver_each(self, source: Source, records: Sequence[Record]) -> None:
        by_event = self.routes(source).by_event
        names, stamp = source.names, source.stamp
        for record in records:
            event_id = record.event_id
            calls = by_event[event_id]
            if not calls:
                continue
            metadata = stamped(record, stamp)
            for handler, function, config in calls:
                try:
                    function(names[event_id], record.measurements, metadata, config)
                except BaseException as error:
                    self._fail(handler, error)
                    by_event = self.routes(source).by_event

    def _fail(self, handler: Handler, error: BaseException) -> None:
        with self._lock:
            self.handler_failures += 1
        if handler.is_required:
            self._give_up(handler, error)
        with self._lock:
            handlers = dict(self._attached.handlers)
            if handlers.get(handler.handler_id) is handler:
                del handlers[handler.handler_id]
                self._replace(handlers)
        _log.error("handler %r raised; detached", handler.handler_id, exc_info=error)

    def _give_up(self, handler: Handler, error: BaseException) -> NoReturn:
        reason = str(error) or type(error).__name__
        failure = RequiredHandlerError(f"handler {handler.handler_id!r}: {reason}")
        failure.__cause__ = error
        with self._lock:
            self.failure = self.failure or failure
        raise failure

    def _replace(self, handlers: Mapping[str, Handler]) -> None:
        self._attached = _Attached(self._attached.version + 1, handlers)


def _resolve(attached: _Attached, names: Sequence[str]) -> Routes:
    handlers = attached.handlers.values()
    per_event = [handler for handler in handlers if not handler.is_batch]
    by_event = tuple(
        tuple((h, h.function, h.config) for h in per_event if h.wants(name))
        for name in names
    )
    wanted = {h: _wanted_ids(h, names) for h in handlers if h.is_batch}
    return Routes(
        version=attached.version,
        by_event=by_event,
        batch=tuple(
            (handler, None if len(ids) == len(names) else ids)
            for handler, ids in wanted.items()
            if ids
        ),
        has_event_handlers=any(by_event),
    )


def _wanted_ids(handler: Handler, names: Sequence[str]) -> frozenset[int]:
    return frozenset(i for i, name in enumerate(names) if handler.wants(name))
