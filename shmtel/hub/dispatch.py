"""Handlers, and the way of an event to them.

A handler is attached under an id to names or globs of events (`fnmatchcase`,
`*` crosses dots) and gets either one event per call or all matching events of a
segment at once.

It is called by the thread of the stream, or by a thread of its own behind a queue,
so that it holds up no other; a coroutine function always is, and is awaited. What is
in work there is part of the deed that a batch is: the batch is acknowledged when all
have let go. A handler can do without that; then its queue is bounded, and it misses
what finds no room.

A handler that raises is detached, logged and counted; the event goes on to the
others. Whatever it raises: a sys.exit() in a handler shall not end the thread
that serves a host.

A handler that must not lose can be attached as required: when it raises, what
it was called with must not count as delivered. It stays attached and is not called
again, `deliver` raises and does so from then on, and nothing more is acknowledged.

Rules:
- each stream delivers from a thread of its own, so a handler without one is
  called from several threads when several collectors are connected;
- attach and detach act from the next segment on; a segment in work is finished
  with the handlers it began with, except those that raised.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Unpack

from shmtel.hub.calls import Delivery, rest_of, wanted
from shmtel.hub.coroutines import AwaitedFunction, is_coroutine_function
from shmtel.hub.handlers import (
    Handler,
    LaneOptions,
    RequiredHandlerError,
    judged_patterns,
    room_of,
)
from shmtel.hub.lanes import DETACHED, RAISED, Lane
from shmtel.hub.progress import Deed
from shmtel.hub.records import Record
from shmtel.hub.routes import Attached, Call, Routes, Source, resolve
from shmtel.hub.sinks import ExactlyOnceSink, Marks
from shmtel.hub.stamp import stamped
from shmtel.hub.watch import Activity, Watch

_log = logging.getLogger(__name__)


class Dispatcher:
    """The handlers of a hub.

    Args:
        marks: where the marks of exactly-once sinks are kept.
        on_failure: is called, once, when a required handler has raised.
        on_detached: is told the id of each handler that raised, and what.
    """

    def __init__(
        self,
        marks: Marks | None = None,
        on_failure: Callable[[RequiredHandlerError], None] | None = None,
        on_detached: Callable[[str, BaseException], None] = lambda *_: None,
    ) -> None:
        self._marks = marks or Marks()
        self._on_failure = on_failure
        self._on_detached = on_detached
        self._lock = threading.Lock()
        self._attached = Attached(0, {})
        self._missed: Counter[tuple[str, str]] = Counter()
        self._is_closed = False
        self.watch = Watch()
        self.handler_failures = 0
        self.failure: RequiredHandlerError | None = None  # the first one

    # -- handlers ------------------------------------------------------------

    def attach(
        self,
        handler_id: str,
        events: Iterable[str],
        function: Callable[..., object],
        config: Any = None,
        *,
        is_batch: bool = False,
        is_required: bool = False,
        **lane: Unpack[LaneOptions],
    ) -> None:
        """Attach a function to events.

        Raises:
            ValueError: the id is taken, there are no events, or wrong options.
        """
        patterns = judged_patterns(handler_id, events, function)
        self._require_free(handler_id)
        is_awaited = is_coroutine_function(function)
        if is_awaited and not lane.setdefault("own_thread", True):
            raise ValueError(
                f"{handler_id!r} is awaited, and so has a thread of its own"
            )
        room = room_of(lane)
        if is_awaited:
            function = AwaitedFunction(function, f"shmtel-{handler_id}-loop")
        handler = Handler(
            *(handler_id, patterns, function, config, is_batch, is_required),
            holds_ack=lane.get("ack", "handled") == "handled",
            lane=self._make_lane(handler_id, function, room)
            if lane.get("own_thread")
            else None,
        )
        is_exact = is_batch and isinstance(function, ExactlyOnceSink)
        if is_exact:
            self._marks.recover(handler_id, function)  # type: ignore[arg-type]
        with self._lock:
            self._require_free(handler_id)
            if is_exact:
                self._marks.add(handler_id, function)  # type: ignore[arg-type]
            self._replace({**self._attached.handlers, handler_id: handler})

    def detach(self, handler_id: str) -> bool:
        """Detach a handler; tell whether there was one."""
        with self._lock:
            handler = self._attached.handlers.get(handler_id)
            return handler is not None and self._remove(handler)

    def handlers(self, pattern: str | None = None) -> list[Handler]:
        """Return what is attached, oldest first; all that has to do with a glob."""
        handlers = self._attached.handlers.values()
        return [h for h in handlers if pattern is None or h.concerns(pattern)]

    def missed(self) -> Mapping[tuple[str, str], int]:
        """Return how many events handlers have missed, by handler and reason."""
        with self._lock:
            return dict(self._missed)

    def close(self, seconds: float) -> None:
        """Let handlers with a thread finish what waits for them, for so long.

        What is left then, or comes later, is left to the next hub: it is held for good.
        """
        deadline = time.monotonic() + seconds
        self._is_closed = True
        lanes = [handler.lane for handler in self.handlers() if handler.lane]
        for lane in lanes:
            lane.end()
        for lane in lanes:
            lane.join(deadline - time.monotonic())
            lane.end(is_given_up=True)

    def _make_lane(
        self, handler_id: str, function: object, room: int | None
    ) -> Lane[Delivery]:
        lane = Lane(f"shmtel-{handler_id}", self._run, self._skip, room)
        if isinstance(function, AwaitedFunction):
            lane.on_end = function.close
        return lane

    def _require_free(self, handler_id: str) -> None:
        if handler_id in self._attached.handlers:
            raise ValueError(f"a handler {handler_id!r} is attached already")

    def _remove(self, handler: Handler, *, is_broken: bool = False) -> bool:
        handlers = dict(self._attached.handlers)
        if handler.lane is not None:
            handler.lane.end(is_given_up=is_broken)
        if handlers.get(handler.handler_id) is not handler:
            return False
        del handlers[handler.handler_id]
        self._marks.remove(handler.handler_id)
        self._replace(handlers)
        return True

    def _replace(self, handlers: Mapping[str, Handler]) -> None:
        self._attached = Attached(self._attached.version + 1, handlers)

    # -- events --------------------------------------------------------------

    def routes(self, source: Source) -> Routes:
        """Return where the events of a ring go now."""
        routes, attached = source.routes, self._attached
        if (
            routes is None
            or routes.version != attached.version
            or len(routes.by_event) != len(source.names)
        ):
            routes = source.routes = resolve(attached, source.names)
        return routes

    def deliver(
        self,
        source: Source,
        records: Sequence[Record],
        redelivered_through: int = 0,
        deed: Deed | None = None,
    ) -> None:
        """Call the handlers; return when all without a thread of their own have.

        Args:
            redelivered_through: up to here an earlier hub may have done so.
            deed: is held until the others have, too.

        Raises:
            RequiredHandlerError: the events must not count as delivered.
        """
        if self.failure is not None:
            raise self.failure
        through = redelivered_through
        for handler, event_ids in self.routes(source).lanes:
            mine = wanted(records, event_ids)
            held = deed if handler.holds_ack else None
            self._hand_over(Delivery(handler, source, mine, through, held))
        for handler, event_ids in self.routes(source).batch:
            mine = wanted(records, event_ids)
            self._attempt(Delivery(handler, source, mine, through))
        if self.routes(source).has_event_handlers:
            self._deliver_each(source, records, through)

    def _hand_over(self, delivery: Delivery) -> None:
        if not delivery.records:
            return
        assert delivery.handler.lane is not None
        if delivery.deed is not None:
            delivery.deed.hold()
        reason = delivery.handler.lane.put(delivery)
        if reason is not None:
            self._miss(delivery, reason)

    def _run(self, delivery: Delivery) -> bool:
        """Do what waited in a lane; tell whether the lane goes on."""
        try:
            self._attempt(delivery)
        except RequiredHandlerError:
            return False  # what follows must not be handled: it was not before it
        if delivery.deed is not None:
            delivery.deed.release()
        return True

    def _skip(self, delivery: Delivery) -> None:
        self._miss(delivery, DETACHED)

    def _miss(self, delivery: Delivery, reason: str) -> None:
        if self._is_closed and delivery.deed is not None:
            return  # somebody else will handle it
        self._note_missed(delivery.handler, reason, len(delivery.records))
        if delivery.deed is not None:
            delivery.deed.release()

    def _attempt(self, delivery: Delivery) -> None:
        """Call a handler, if there is anything for it."""
        if not delivery.records:
            return
        activity = self.watch.begin(delivery.handler.handler_id)
        try:
            delivery.call()
        except BaseException as error:
            self._fail(delivery.handler, error)
            missed = len(delivery.records) - delivery.handled
            self._note_missed(delivery.handler, RAISED, missed)
        finally:
            self.watch.end(activity)

    def _note_missed(self, handler: Handler, reason: str, events: int) -> None:
        with self._lock:
            self._missed[handler.handler_id, reason] += events

    def _deliver_each(
        self, source: Source, records: Sequence[Record], through: int
    ) -> None:
        activity = self.watch.begin()
        try:
            self._call_each(source, records, through, activity)
        finally:
            self.watch.end(activity)

    def _call_each(
        self,
        source: Source,
        records: Sequence[Record],
        through: int,
        activity: Activity,
    ) -> None:
        by_event = self.routes(source).by_event
        names, stamp = source.names, source.stamp
        for record in records:
            event_id = record.event_id
            calls = by_event[event_id]
            if not calls:
                continue
            metadata = stamped(record, stamp, through)
            for handler, function, config in calls:
                activity.handler_id = handler.handler_id
                try:
                    function(names[event_id], record.measurements, metadata, config)
                except BaseException as error:
                    self._fail(handler, error)
                    rest = rest_of(records, record)
                    missed = _count_wanted(handler, by_event, rest)
                    self._note_missed(handler, RAISED, missed)
                    by_event = self.routes(source).by_event

    # -- failures ------------------------------------------------------------

    def _fail(self, handler: Handler, error: BaseException) -> None:
        with self._lock:
            self.handler_failures += 1
        if handler.is_required:
            self._give_up(handler, error)
        with self._lock:
            self._remove(handler, is_broken=True)
        _log.error("handler %r raised; detached", handler.handler_id, exc_info=error)
        self._on_detached(handler.handler_id, error)

    def _give_up(self, handler: Handler, error: BaseException) -> NoReturn:
        reason = str(error) or type(error).__name__
        failure = RequiredHandlerError(f"handler {handler.handler_id!r}: {reason}")
        failure.__cause__ = error
        with self._lock:
            is_first = self.failure is None
            self.failure = self.failure or failure
        if is_first and self._on_failure is not None:
            self._on_failure(failure)
        raise failure


def _count_wanted(
    handler: Handler, by_event: Sequence[Sequence[Call]], records: Sequence[Record]
) -> int:
    return sum(
        any(one is handler for one, *_ in by_event[record.event_id])
        for record in records
    )
