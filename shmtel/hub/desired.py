"""The policy of the fleet: changing it, and what became of it.

A change is judged, written down, and sent, in this order: what collectors hear
is on the disk, and what cannot be written is refused and has changed nothing.
Changes happen one at a time; waiting for answers happens outside.

Rules:
- the lock here is taken before all others of the hub, and never waited under.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from shmtel.hub.answers import NOT_WAITED, Answers
from shmtel.hub.events import HubEvents
from shmtel.hub.fleet import Fleet, LiveStream
from shmtel.hub.store import Store, StoreError
from shmtel.policy.model import FLEET, Layer, Policy, PolicyStatus, Rule
from shmtel.policy.rules import (
    PolicyError,
    selects,
    with_all,
    with_rule,
    with_rules,
    without_rule,
)
from shmtel.policy.text import rule_text
from shmtel.wire.control import (
    Change,
    ChangeReport,
    ChangeRequest,
    HostReport,
    PolicyReport,
    RemoveRule,
    ReplaceRules,
    SetRule,
    SetRules,
)
from shmtel.wire.frames import Hello

_log = logging.getLogger(__name__)

WAIT_MAX_S = 600.0
LIFETIME_MAX_MS = 10 * 366 * 24 * 3_600_000
OnEnd = Callable[[Callable[[], None]], bool]


class DesiredState:
    """The policy that the whole fleet shall have."""

    def __init__(self, store: Store, fleet: Fleet, events: HubEvents) -> None:
        self._store = store
        self._fleet = fleet
        self._events = events
        self._lock = threading.Lock()

    @property
    def policy(self) -> Policy:
        """The rules, in order."""
        return self._store.policy

    def change(
        self, request: ChangeRequest, on_end: OnEnd | None = None
    ) -> ChangeReport:
        """Change the policy, and wait for the answers if asked to.

        Args:
            on_end: is given what to call when nobody waits for the report any more.

        Raises:
            PolicyError: the change is wrong.
            StoreError: it cannot be written down.
        """
        policy, answers = self._changed(request)
        try:
            if on_end is not None and not on_end(answers.give_up):
                answers.give_up()  # it is over already
            seconds = min(request.wait_ms / 1e3, WAIT_MAX_S)
            reports, duration_ns = answers.wait(seconds)
        finally:
            self._fleet.forget(answers)
        if not request.wait_ms:
            reports = [_unasked(report) for report in reports]
        rules = _concerned(request.change)
        hosts = tuple(_only_selected(report, rules) for report in reports)
        return ChangeReport(policy.origin, policy.version, hosts, duration_ns)

    def note_status(self, stream: LiveStream, status: PolicyStatus) -> None:
        """Take a collector's answer."""
        hello = self._fleet.note_status(stream, status)
        if hello is None or status.rejection is None:
            return
        try:
            self._store.note_rejected(hello.host_id, hello.instance_id, status.version)
        except StoreError as error:
            _log.warning("%s has refused the policy; %s", hello.node, error)
        self._announce_rejection(hello, status)

    def report(self) -> PolicyReport:
        """Return the rules, and what each host has made of them."""
        policy = self.policy
        hosts = (
            HostReport(host.node, host.host_id, host.status)
            for host in self._fleet.hosts()
        )
        layers = (Layer(FLEET, policy.rules),)
        return PolicyReport(policy.origin, policy.version, layers, tuple(hosts))

    def _changed(self, request: ChangeRequest) -> tuple[Policy, Answers]:
        now_ns = time.time_ns()
        change = _with_lifetime(request, now_ns)
        with self._lock:
            policy = _apply(self.policy, change, now_ns)
            self._store.save(policy)
            answers = self._fleet.push(policy)
            self._announce(policy, change)
        return policy, answers

    def _announce(self, policy: Policy, change: Change) -> None:
        rules = "; ".join(map(rule_text, _rules_of(change)[:_RULES_TOLD]))
        self._events.put(
            {"version": policy.version, "rules": len(policy.rules)},
            {"cause": _CAUSES[type(change)], "rule": rules, "origin": policy.origin},
        )

    def _announce_rejection(self, hello: Hello, status: PolicyStatus) -> None:
        assert status.rejection is not None
        self._events.put(
            {"version": status.version, "rules": len(self.policy.rules)},
            {
                "cause": "rejected",
                "origin": status.origin,
                "host": hello.node,
                "host_id": hello.host_id,
                "rejected_rule": status.rejection.rule,
                "reason": status.rejection.reason,
            },
        )


_RULES_TOLD = 8  # of a change that holds many
_CAUSES: dict[type, str] = {
    SetRule: "set",
    SetRules: "set",
    RemoveRule: "removed",
    ReplaceRules: "replaced",
}


def _with_lifetime(request: ChangeRequest, now_ns: int) -> Change:
    """Give the rules that are set their deadline, by our clock."""
    if not request.lifetime_ms:
        return request.change
    if request.lifetime_ms > LIFETIME_MAX_MS:
        raise PolicyError(0, "a rule lives for at most ten years")
    expires_ns = now_ns + request.lifetime_ms * 1_000_000
    match request.change:
        case SetRule(rule):
            return SetRule(replace(rule, expires_ns=expires_ns))
        case SetRules(rules):
            return SetRules(tuple(replace(r, expires_ns=expires_ns) for r in rules))
        case ReplaceRules(rules):
            return ReplaceRules(tuple(replace(r, expires_ns=expires_ns) for r in rules))
    return request.change


def _apply(policy: Policy, change: Change, now_ns: int) -> Policy:
    match change:
        case SetRule(rule):
            return with_rule(policy, rule, now_ns)
        case SetRules(rules):
            return with_all(policy, rules, now_ns)
        case RemoveRule(rule):
            return without_rule(policy, rule, now_ns)
        case ReplaceRules(rules):
            return with_rules(policy, rules, now_ns)


def _rules_of(change: Change) -> tuple[Rule, ...]:
    match change:
        case SetRule(rule) | RemoveRule(rule):
            return (rule,)
        case SetRules(rules) | ReplaceRules(rules):
            return rules


def _concerned(change: Change) -> tuple[Rule, ...] | None:
    """Return the rules whose workers are reported; None: all workers are."""
    return None if isinstance(change, ReplaceRules) else _rules_of(change)


def _unasked(report: HostReport) -> HostReport:
    return report if report.status else replace(report, missing=NOT_WAITED)


def _only_selected(report: HostReport, rules: Iterable[Rule] | None) -> HostReport:
    if report.status is None or rules is None:
        return report
    selectors = [rule.selector for rule in rules]
    kept = tuple(
        result
        for result in report.status.workers
        for traits in (replace(result.traits, node=report.node),)
        if any(selects(selector, traits) for selector in selectors)
    )
    return replace(report, status=replace(report.status, workers=kept))
