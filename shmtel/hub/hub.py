"""The hub as an application sees it.

Rules:
- this file wires the parts together and holds no logic of its own.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Unpack

from shmtel.accounting.fleet import FleetLedger
from shmtel.hub.control import worker_status
from shmtel.hub.counters import HubStats
from shmtel.hub.handlers import (
    BatchFunction,
    EventFunction,
    Handler,
    LaneOptions,
    RequiredHandlerError,
)
from shmtel.hub.insight import Insight
from shmtel.hub.ledger import Summary
from shmtel.hub.measures import Metric
from shmtel.hub.measures.measures import Measures
from shmtel.hub.parts import Parts
from shmtel.hub.readiness import Readiness
from shmtel.hub.scope import Patience, Scope, removing, replacing, setting
from shmtel.hub.server import Server
from shmtel.hub.stream import Stream
from shmtel.hub.terms import make_terms
from shmtel.policy.model import KEPT_ERRORS, Filter, Policy, Rule, Sampling, Toggle
from shmtel.wire.control import ChangeReport, Explanation, PolicyReport, WorkerStatus

DEFAULT_LISTEN = "127.0.0.1:4737"
_STOP_GRACE_S = 1.5  # the whole of it takes less than 2 s
_HANG_UP_S = 0.4  # of the grace: to cut the connections


class Hub:
    """Receives events from collectors and hands them to handlers.

    Args:
        listen: host and port, or `unix:` and a path. Port 0 takes a free one;
            `address` tells which.
        max_collectors: streams at the same time; one more is refused.
        state_dir: where policy and table of rings are kept over restarts; None:
            nowhere.

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
        self._parts = parts = Parts(state_dir)
        self._dispatcher = parts.dispatcher
        self._desired = parts.desired
        self._terms = make_terms()
        self._server = Server(
            listen,
            max_collectors,
            self._make_stream,
            parts.control,
            parts.counters,
            lambda: self.readiness().is_ready,
        )
        self._address = listen
        self._is_serving = False

    def _make_stream(self) -> Stream:
        return Stream(self._parts.services, self._terms)

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
        self._is_serving = True

    def stop(self, grace: float = _STOP_GRACE_S) -> None:
        """Ask the collectors to leave, finish the batches in work, and stop.

        It takes at most `grace` seconds. A handler that runs longer is not waited
        for; its batch is not acknowledged and will be sent again to the next hub. A
        collector that has not left by then is cut off.
        """
        deadline = time.monotonic() + grace
        self._is_serving = False
        self._parts.finish(deadline - min(_HANG_UP_S, grace / 2))
        self._server.stop(max(0.1, deadline - time.monotonic() - 0.1))
        self._parts.close()

    def __enter__(self) -> "Hub":
        self.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stop()

    # -- handlers ------------------------------------------------------------

    def attach(
        self,
        handler_id: str,
        event: str,
        function: EventFunction,
        config: Any = None,
        **lane: Unpack[LaneOptions],
    ) -> None:
        """Call `function(event, measurements, metadata, config)` for each event.

        Args:
            event: a name, or a glob over names; `*` crosses dots.
            lane: whether in a thread of its own (`own_thread`), and then what an
                ack waits for (`ack`: "handled" or "queued", with `queue_batches`).

        Raises:
            ValueError: the id is taken, or the options are wrong.
        """
        self._dispatcher.attach(handler_id, (event,), function, config, **lane)

    def attach_many(
        self,
        handler_id: str,
        events: Iterable[str],
        function: EventFunction,
        config: Any = None,
        **lane: Unpack[LaneOptions],
    ) -> None:
        """Attach one function to several names or globs.

        Raises:
            ValueError: the id is taken, there are no events, or the options are wrong.
        """
        self._dispatcher.attach(handler_id, events, function, config, **lane)

    def attach_batch(
        self,
        handler_id: str,
        event: str,
        function: BatchFunction,
        config: Any = None,
        *,
        required: bool = False,
        **lane: Unpack[LaneOptions],
    ) -> None:
        """Call `function(batch, config)` once per segment with what matches.

        A function that is an `ExactlyOnceSink` is asked what it has stored already.

        Args:
            required: for a sink that must not lose. When it raises it is not
                detached: its batch is not acknowledged, all streams end, and the
                hub accepts no more; `failure` tells. The events stay in the rings
                for the next hub.

        Raises:
            ValueError: the id is taken, or the options are wrong.
        """
        self._dispatcher.attach(
            *(handler_id, (event,), function, config),
            is_batch=True,
            is_required=required,
            **lane,
        )

    def detach(self, handler_id: str) -> bool:
        """Detach a handler; tell whether there was one."""
        return self._dispatcher.detach(handler_id)

    def list_handlers(self, pattern: str | None = None) -> list[Handler]:
        """List the handlers, or those that a name or glob has to do with."""
        return self._dispatcher.handlers(pattern)

    def attach_metrics(self, metrics: Iterable[Metric]) -> None:
        """Keep metrics of events, made by `shmtel.hub.measures`, from now on.

        What was kept of the same definition in the hub's state goes on.

        Raises:
            ValueError: two would have one name, or that of one of the hub's own; none
                of them is attached then.
        """
        self.measures.attach(metrics)

    def detach_metric(self, name: str) -> bool:
        """Forget a metric and what it has counted; tell whether there was one."""
        return self.measures.detach(name)

    @property
    def measures(self) -> Measures:
        """The metrics that are attached, and what they stand at: for bridges."""
        return self._parts.measures

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
        return self._parts.control.explain(worker)

    # -- insight -------------------------------------------------------------

    @property
    def failure(self) -> RequiredHandlerError | None:
        """Why the hub takes no more events; None: it does."""
        return self._dispatcher.failure

    def list_workers(self) -> list[WorkerStatus]:
        """List the rings that the hub knows."""
        return list(map(worker_status, self._parts.table.entries()))

    def ledger(self) -> FleetLedger:
        """Return what became of every event of the fleet, as the hub knows it."""
        return self._parts.control.facts().ledger()

    def summary(self) -> Summary:
        """Return what metrics tell of the ledger; no hub after this takes it back.

        That is what is on record, of the hosts of which anything told is. However many
        workers have ended, it takes little time.
        """
        return self._parts.control.summary()

    def missed(self) -> Mapping[tuple[str, str], int]:
        """Return how many events handlers have missed, by handler and reason."""
        return self._dispatcher.missed()

    def readiness(self) -> Readiness:
        """Return whether the hub keeps up, and what speaks against it."""
        return self._parts.readiness(is_serving=self._is_serving)

    def oldest_unanswered_ns(self) -> dict[str, int]:
        """Return by host id how long the oldest batch has waited for its answer."""
        return self._parts.fleet.oldest_unanswered_ns()

    @property
    def insight(self) -> Insight:
        """What else there is to know of workers, rings, events, hosts and handlers."""
        return Insight(self._parts)

    def stats(self) -> HubStats:
        """Return the hub's counters of itself."""
        return self._parts.stats()
