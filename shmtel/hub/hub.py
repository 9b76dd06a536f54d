"""The hub as an application sees it.

Rules:
- this file wires the parts together and holds no logic of its own.
"""

import secrets
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any

from shmtel.hub.control import Control, worker_status
from shmtel.hub.counters import Counters, HubStats
from shmtel.hub.dispatch import (
    BatchFunction,
    Dispatcher,
    EventFunction,
    Handler,
    RequiredHandlerError,
)
from shmtel.hub.fleet import Fleet
from shmtel.hub.ledger import HubLedger, make_ledger
from shmtel.hub.server import Server
from shmtel.hub.stream import Services, Stream
from shmtel.hub.table import RingTable
from shmtel.policy.model import Filter, Policy, Rule, Sampling, Selector, Toggle
from shmtel.wire.control import WorkerStatus
from shmtel.wire.frames import AckLevel, Welcome
from shmtel.wire.protocol import PROTOCOL_MAX

DEFAULT_LISTEN = "127.0.0.1:4737"
_CREDIT_BYTES = 1 << 20
_MAX_BATCH_BYTES = 256 << 10
_HEARTBEAT_INTERVAL_MS = 1_000
_STOP_GRACE_S = 2.0


class Hub:
    """Receives events from collectors and hands them to handlers.

    Args:
        listen: host and port, or `unix:` and a path. Port 0 takes a free one;
            `address` tells which.
        max_collectors: streams at the same time; one more is refused.
    """

    def __init__(
        self, listen: str = DEFAULT_LISTEN, *, max_collectors: int = 64
    ) -> None:
        self._dispatcher = Dispatcher()
        self._table = RingTable()
        self._fleet = Fleet()
        self._counters = Counters()
        self._services = Services(
            self._table, self._dispatcher, self._fleet, self._counters
        )
        self._terms = Welcome(
            protocol=PROTOCOL_MAX,
            hub_id=secrets.token_hex(8),
            credit_bytes=_CREDIT_BYTES,
            max_batch_bytes=_MAX_BATCH_BYTES,
            heartbeat_interval_ms=_HEARTBEAT_INTERVAL_MS,
            ack_level=AckLevel.HANDLED,
        )
        self._server = Server(
            listen,
            max_collectors,
            self._make_stream,
            Control(self._fleet, self._table).methods(),
            self._counters,
        )
        self._address = listen

    def _make_stream(self) -> Stream:
        return Stream(self._services, self._terms)

    # -- life ----------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the hub listens, once it is started."""
        return self._address

    def start(self) -> None:
        """Listen for collectors.

        Raises:
            ConfigurationError: the address cannot be listened on.
        """
        self._address = self._server.start()

    def stop(self, grace: float = _STOP_GRACE_S) -> None:
        """Tell the collectors, finish the batches in work, and stop.

        A handler that runs longer than `grace` seconds is not waited for; its
        batch is not acknowledged and will be sent again to the next hub.
        """
        deadline = time.monotonic() + grace
        for stream in self._fleet.close():
            stream.stopped.wait(max(0.0, deadline - time.monotonic()))
        self._server.stop(max(0.1, deadline - time.monotonic()))

    def __enter__(self) -> "Hub":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- handlers ------------------------------------------------------------

    def attach(
        self, handler_id: str, event: str, function: EventFunction, config: Any = None
    ) -> None:
        """Call `function(event, measurements, metadata, config)` for each event.

        Args:
            event: a name, or a glob over names; `*` crosses dots.

        Raises:
            ValueError: the id is taken.
        """
        self._dispatcher.attach(handler_id, (event,), function, config)

    def attach_many(
        self,
        handler_id: str,
        events: Iterable[str],
        function: EventFunction,
        config: Any = None,
    ) -> None:
        """Attach one function to several names or globs.

        Raises:
            ValueError: the id is taken, or there are no events.
        """
        self._dispatcher.attach(handler_id, events, function, config)

    def attach_batch(
        self,
        handler_id: str,
        event: str,
        function: BatchFunction,
        config: Any = None,
        *,
        required: bool = False,
    ) -> None:
        """Call `function(batch, config)` once per segment with what matches.

        Args:
            required: for a sink that must not lose. When it raises it is not
                detached: its batch is not acknowledged, all streams end, and the
                hub accepts no more; `failure` tells. The events stay in the rings
                for the next hub.

        Raises:
            ValueError: the id is taken.
        """
        self._dispatcher.attach(
            handler_id, (event,), function, config, is_batch=True, is_required=required
        )

    def detach(self, handler_id: str) -> bool:
        """Detach a handler; tell whether there was one."""
        return self._dispatcher.detach(handler_id)

    def list_handlers(self, pattern: str | None = None) -> list[Handler]:
        """List the handlers, or those that a name or glob has to do with."""
        handlers = self._dispatcher.handlers()
        if pattern is None:
            return handlers
        return [handler for handler in handlers if _concerns(handler, pattern)]

    # -- control -------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        """The rules in force, in order."""
        return self._fleet.policy

    def toggle(self, worker: str, enabled: bool) -> int:
        """Switch workers on or off; `worker` is a glob over worker ids.

        Returns:
            The version of the policy that holds the rule; so do the others.

        Raises:
            ConfigurationError: the rule is wrong.
        """
        return self._set(worker, Toggle(enabled))

    def update_sampling(
        self, worker: str, rate: float, patterns: Iterable[str] | None = None
    ) -> int:
        """Keep a share of the events, or of those that match a pattern."""
        return self._set(worker, Sampling(rate, tuple(patterns or ())))

    def update_filter(
        self,
        worker: str,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
    ) -> int:
        """Let only allowed names through, and never denied ones.

        It replaces the filter set before with the same `worker`; without any
        patterns everything is let through again.
        """
        return self._set(worker, Filter(tuple(allow or ()), tuple(deny or ())))

    def _set(self, worker: str, action: Toggle | Sampling | Filter) -> int:
        policy, _told = self._fleet.set_rule(Rule(Selector(worker), action))
        return policy.version

    # -- insight -------------------------------------------------------------

    @property
    def failure(self) -> RequiredHandlerError | None:
        """Why the hub takes no more events; None: it does."""
        return self._dispatcher.failure

    def list_workers(self) -> list[WorkerStatus]:
        """List the rings that the hub knows."""
        return list(map(worker_status, self._table.entries()))

    def ledger(self) -> HubLedger:
        """Return what became of all events, per ring, as the hub knows it."""
        return make_ledger(self._table.entries(), self._table.folded())

    def stats(self) -> HubStats:
        """Return the hub's counters of itself."""
        return self._counters.snapshot(
            streams=self._fleet.live_count(),
            handler_failures=self._dispatcher.handler_failures,
            handlers=len(self._dispatcher.handlers()),
        )


def _concerns(handler: Handler, pattern: str) -> bool:
    return handler.wants(pattern) or any(
        fnmatchcase(own, pattern) for own in handler.patterns
    )
