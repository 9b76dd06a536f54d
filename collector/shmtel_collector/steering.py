"""Control of a host: what is in force, carried to its rings and answered for.

Three things change the rules: a policy of the hub, an overlay of an operator,
a deadline. Each goes the same way: written down, brought to every ring at once,
put on record as an event, and answered with a status that says of every worker
whether its words say what the rules say.

A database that fails does not keep a change from acting; it is said once, and
the change is gone with this process.

Rules: nothing here knows about streams or sockets; whoever does listens.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from shmtel.policy.model import Policy, PolicyStatus, Rule, WorkerResult
from shmtel.policy.rules import selects
from shmtel.policy.text import rule_text
from shmtel.wire.control import (
    Change,
    ChangeRequest,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)
from shmtel_collector.enforcement import Enforcement
from shmtel_collector.guard import Guard
from shmtel_collector.journal import Journal
from shmtel_collector.logs import ConditionLog
from shmtel_collector.policy_store import PolicyStore, PolicyStoreError
from shmtel_collector.regime import Regime
from shmtel_collector.ring import Ring

_CONDITION = "policy"
_VERBS: dict[type[Change], str] = {
    SetRule: "set",
    SetRules: "set",
    RemoveRule: "remove",
    ReplaceRules: "replace",
}


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks, in ns: deadlines are by the one, durations by the other."""

    realtime_ns: Callable[[], int]
    monotonic_ns: Callable[[], int]


class Steering:
    """The one place where the rules of a host change.

    Attributes:
        regime: what is in force.
        on_change: is told the status when something changed without the hub.
    """

    def __init__(
        self,
        rings: Mapping[bytes, Ring],
        store: PolicyStore,
        guard: Guard,
        enforcement: Enforcement,
        journal: Journal,
        clocks: Clocks,
        log: ConditionLog,
    ) -> None:
        """Go on with the rules that were in force when the last collector ended."""
        self.regime = Regime(store.kept(), guard)
        self.on_change: Callable[[PolicyStatus], None] = lambda _status: None
        self._rings = rings
        self._store = store
        self._enforcement = enforcement
        self._journal = journal
        self._clocks = clocks
        self._log = log
        self._next_expiry_ns: int | None = None
        if guard.is_set():
            self._record_guard(guard)
        self._expire()

    # -- what is in force ----------------------------------------------------

    def status(self, duration_ns: int = 0) -> PolicyStatus:
        """Return the answer to the policy that came last."""
        fleet = self.regime.fleet
        answered = self.regime.rejected or PolicyStatus(fleet.origin, fleet.version)
        return replace(
            answered,
            in_force_origin=fleet.origin,
            in_force_version=fleet.version,
            workers=self._results(),
            duration_ns=duration_ns,
            local_layers=self.regime.local_layers(),
        )

    def workers(self) -> list[Ring]:
        """Return the rings into which workers may still emit."""
        return [ring for ring in self._rings.values() if ring.is_at_work()]

    def until_expiry_ns(self) -> int | None:
        """Return how long `tick` has nothing to do; None: until a change."""
        if self._next_expiry_ns is None:
            return None
        return max(self._next_expiry_ns - self._clocks.realtime_ns(), 0)

    # -- what changes it -----------------------------------------------------

    def receive(self, policy: Policy) -> PolicyStatus:
        """Act on a policy of the hub, and return the answer."""
        started_ns = self._clocks.monotonic_ns()
        if not self.regime.receive(policy, self._clocks.realtime_ns()):
            return self.status()
        self._keep()
        if self.regime.rejected is None:
            self._enforce()
        status = self.status(self._clocks.monotonic_ns() - started_ns)
        self._record_policy(status)
        return status

    def change_overlay(self, request: ChangeRequest) -> tuple[Policy, PolicyStatus]:
        """Change an overlay; return it, and of whom it selects who has it.

        Raises:
            PolicyError: the change is wrong; nothing has changed.
        """
        started_ns = self._clocks.monotonic_ns()
        overlay = self.regime.change_overlay(request, self._clocks.realtime_ns())
        self._keep()
        self._enforce()
        status = self.status(self._clocks.monotonic_ns() - started_ns)
        self._record_overlay(overlay, request.change, status)
        self.on_change(replace(status, duration_ns=0))
        workers = tuple(_selected(status.workers, request.change))
        return overlay, replace(status, rejection=None, workers=workers)

    def close(self) -> None:
        """Put nothing on record any more: what follows could not be delivered."""
        self._journal.close()

    def tick(self) -> None:
        """Take out what has expired, if anything has."""
        if self.until_expiry_ns() == 0:
            self._expire()
            self.on_change(self.status())

    # -- inside --------------------------------------------------------------

    def _expire(self) -> None:
        expired = self.regime.expire(self._clocks.realtime_ns())
        if expired:
            self._keep()
        self._enforce()
        for layer, count in expired.items():
            self._log.info("%d rules of %s have expired", count, layer)
            self._journal.record("policy.expired", {"rules": count}, {"layer": layer})

    def _enforce(self) -> None:
        now_ns = self._clocks.realtime_ns()
        self._enforcement.judge = self.regime.judge(now_ns)
        self._next_expiry_ns = self.regime.next_expiry_ns(now_ns)
        self._enforcement.apply(self._rings.values())

    def _keep(self) -> None:
        try:
            self._store.keep(self.regime.kept)
        except PolicyStoreError as error:
            self._log.warning(
                _CONDITION, "a policy acts, but is not kept for a restart: %s", error
            )
        else:
            self._log.cleared(_CONDITION)

    def _results(self) -> tuple[WorkerResult, ...]:
        return tuple(map(self._enforcement.result_of, self.workers()))

    # -- the record ----------------------------------------------------------

    def _record_guard(self, guard: Guard) -> None:
        remote_control = "on" if guard.remote_control else "off"
        self._journal.record(
            "guard.loaded",
            {"rules": len(guard.layer.rules)},
            {"remote_control": remote_control},
        )

    def _record_policy(self, status: PolicyStatus) -> None:
        rejection = status.rejection
        metadata = {"origin": status.origin}
        if rejection is None:
            measurements = {"version": status.version} | _measured(status)
            self._journal.record("policy.applied", measurements, metadata)
            return
        self._log.warning(
            "refused policy",
            "policy %d is refused: rule %d: %s",
            *(status.version, rejection.rule, rejection.reason),
        )
        self._journal.record(
            "policy.rejected",
            {"version": status.version, "rule": rejection.rule},
            metadata | {"reason": rejection.reason},
        )

    def _record_overlay(
        self, overlay: Policy, change: Change, status: PolicyStatus
    ) -> None:
        verb, rules = _VERBS[type(change)], "; ".join(map(rule_text, _rules_of(change)))
        self._log.info("overlay %s: %s %s", overlay.origin, verb, rules)
        self._journal.record(
            "overlay.changed",
            {"rules": len(overlay.rules)} | _measured(status),
            {"overlay": overlay.origin, "change": verb, "rule": rules},
        )


def _measured(status: PolicyStatus) -> dict[str, int]:
    failed = sum(bool(result.failure) for result in status.workers)
    return {
        "workers": len(status.workers),
        "failed": failed,
        "duration": status.duration_ns,
    }


def _selected(
    results: Iterable[WorkerResult], change: Change
) -> Iterable[WorkerResult]:
    """Keep the workers that a change is about; rules that go had any of them."""
    rules = _rules_of(change)
    for result in results:
        if isinstance(change, ReplaceRules) or any(
            selects(rule.selector, result.traits) for rule in rules
        ):
            yield result


def _rules_of(change: Change) -> tuple[Rule, ...]:
    match change:
        case SetRule(rule) | RemoveRule(rule):
            return (rule,)
        case SetRules(rules) | ReplaceRules(rules):
            return rules
