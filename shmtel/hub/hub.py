"""The hub as an application sees it.

Rules:
- this file wires the parts together and holds no logic of its own.
"""

import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Unpack

from shmtel.hub.control import Control, worker_status
from shmtel.hub.counters import Counters, HubStats
from shmtel.hub.desired import DesiredState
from shmtel.hub.dispatch import (
    BatchFunction,
    Dispatcher,
    EventFunction,
    Handler,
    RequiredHandlerError,
)
from shmtel.hub.events import HubEvents
from shmtel.hub.fleet import Fleet
from shmtel.hub.ledger import HubLedger, make_ledger
from shmtel.hub.scope import Patience, Scope, removing, replacing, setting
from shmtel.hub.server import Server
from shmtel.hub.store import Store
from shmtel.hub.stream import Services, Stream
from shmtel.hub.table import RingTable
from shmtel.hub.terms import make_terms
from shmtel.policy.model import KEPT_ERRORS, Filter, Policy, Rule, Sampling, Toggle
from shmtel.wire.control import ChangeReport, Explanation, PolicyReport, WorkerStatus

DEFAULT_LISTEN = "127.0.0.1:4737"
# For handlers; telling the collectors and ending take some tenths more, and what
# stops a hub need not wait for longer than two seconds.
_STOP_GRACE_S = 1.5


class Hub:
    """Receives events from collectors and hands them to handlers.

    Args:
        listen: host and port, or `unix:` and a path. Port 0 takes a free one;
            `address` tells which.
        max_collectors: streams at the same time; one more is refused.
        state_dir: where the policy is kept over restarts; None: nowhere.

    Raises:
        ConfigurationError: the state cannot be kept there, or another hub does.
    """

    def __init__(
        self,
        listen: str = DEFAULT_LISTEN,
        *,
        max_collectors: int = 64,
        state_dir: Path | None = None,
    ) -> None:
        self._store = Store(state_dir)
        self._dispatcher = Dispatcher()
        self._events = HubEvents(self._dispatcher)
        self._table = RingTable()
        self._fleet = Fleet(self._store.policy, self._store.rejected())
        self._desired = DesiredState(self._store, self._fleet, self._events)
        self._control = Control(self._desired, self._fleet, self._table)
        self._counters = Counters()
        self._services = Services(
            self._table, self._dispatcher, self._fleet, self._desired, self._counters
        )
        self._terms = make_terms()
        self._server = Server(
            listen,
            max_collectors,
            self._make_stream,
            self._control.methods(),
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
        self._events.close(max(0.1, deadline - time.monotonic()))
        self._store.close()

    def __enter__(self) -> "Hub":
        self.start()
        return self

    def __exit__(self, *_raised: object) -> None:
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
        """The rules that the whole fleet shall have, in order."""
        return self._desired.policy

    def toggle(
        self, worker: str, enabled: bool, **scope: Unpack[Scope]
    ) -> ChangeReport:
        """Switch workers on or off.

        Args:
            worker: glob over worker ids; all of them have to match.
            scope: further globs over `pool`, `service` and `node`; after how many
                seconds the rule expires (`lifetime`); how many to wait for the
                answers of the collectors (`wait`), but never in a handler.

        Returns:
            The version of the policy that holds the rule, and the answers. All
            changes take the same and return the same.

        Raises:
            ConfigurationError: the rule is wrong.
            StoreError: the policy cannot be written down. Nothing has changed then.
        """
        return self._desired.change(setting(worker, [Toggle(enabled)], **scope))

    def update_sampling(
        self,
        worker: str,
        rate: float,
        patterns: Iterable[str] | None = None,
        *,
        keep_errors: bool = False,
        **scope: Unpack[Scope],
    ) -> ChangeReport:
        """Keep a share of the events, or of those that match a pattern.

        Args:
            keep_errors: keep every `*.exception` as well, of whatever rate.
        """
        actions = [Sampling(rate, tuple(patterns or ()))]
        if keep_errors:
            actions.append(Sampling(1.0, KEPT_ERRORS))
        return self._desired.change(setting(worker, actions, **scope))

    def update_filter(
        self,
        worker: str,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        **scope: Unpack[Scope],
    ) -> ChangeReport:
        """Let only allowed names through, and never denied ones.

        It replaces the filter set before for the same workers; without any
        patterns everything is let through again.
        """
        action = Filter(tuple(allow or ()), tuple(deny or ()))
        return self._desired.change(setting(worker, [action], **scope))

    def remove_rule(self, rule: Rule, **patience: Unpack[Patience]) -> ChangeReport:
        """Remove the rules that are the same as one, whatever their values."""
        return self._desired.change(removing(rule, **patience))

    def replace_rules(
        self, rules: Iterable[Rule], **patience: Unpack[Patience]
    ) -> ChangeReport:
        """Replace all rules at once."""
        return self._desired.change(replacing(tuple(rules), **patience))

    def reset_policy(self, **patience: Unpack[Patience]) -> ChangeReport:
        """Go back to no rules: workers follow their own settings."""
        return self.replace_rules((), **patience)

    def policy_report(self) -> PolicyReport:
        """Return the rules, and what each connected host has made of them."""
        return self._desired.report()

    def explain(self, worker: str) -> list[Explanation]:
        """Explain what is in force for workers, and which rules set it.

        Raises:
            ConfigurationError: too many workers match.
        """
        return self._control.explain(worker)

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
            dropped_events=self._events.dropped,
            handler_failures=self._dispatcher.handler_failures,
            handlers=len(self._dispatcher.handlers()),
        )


def _concerns(handler: Handler, pattern: str) -> bool:
    return handler.wants(pattern) or any(
        fnmatchcase(own, pattern) for own in handler.patterns
    )
