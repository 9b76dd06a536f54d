"""The rules in force on a host, layer by layer: fleet, overlays, guard rails.

Of the fleet's policies the last good one stays in force, whatever comes after:
a policy that was refused, a hub without one, no hub at all. What is refused is
remembered, so that the same policy is not judged again.

Deadlines are by this host's clock from the moment a policy arrives. What has
expired is taken out, so that a clock which is set back does not revive it.

Rules: pure, but for what `kept` asks its owner to write down; the time comes in
as an argument.
"""

from collections.abc import Iterable
from dataclasses import replace

from shmtel.policy.model import (
    FLEET,
    Layer,
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
)
from shmtel.policy.rules import (
    PolicyError,
    by_own_clock,
    is_live,
    judge,
    next_expiry_ns,
)
from shmtel.policy.verdicts import Judge
from shmtel.wire.control import ChangeRequest
from shmtel_collector import overlays
from shmtel_collector.guard import Guard
from shmtel_collector.overlays import without_expired
from shmtel_collector.policy_store import Kept

REMOTE_CONTROL_OFF = Rejection(0, "remote control is off on this host")


class Regime:
    """What is in force, and what was refused.

    Attributes:
        kept: what has to outlive this process.
    """

    def __init__(self, kept: Kept, guard: Guard) -> None:
        self.kept = kept
        self._guard = guard
        # Not kept: it ends with the configuration that it comes from.
        self._ignored: PolicyStatus | None = None

    @property
    def fleet(self) -> Policy:
        """The fleet's policy in force; version 0: there is none."""
        return self.kept.fleet if self._guard.remote_control else Policy()

    @property
    def rejected(self) -> PolicyStatus | None:
        """The answer to the policy that came last, if it was refused."""
        return self._ignored if self._ignored is not None else self.kept.rejected

    def local_layers(self) -> tuple[Layer, ...]:
        """Return overlays and guard rails, as far as there are any."""
        layers = [Layer(overlay.origin, overlay.rules) for overlay in self._overlays()]
        if self._guard.layer.rules:
            layers.append(self._guard.layer)
        return tuple(layers)

    def layers(self) -> tuple[Layer, ...]:
        """Return all layers in order."""
        return (Layer(FLEET, self.fleet.rules), *self.local_layers())

    def judge(self, now_ns: int) -> Judge:
        """Return who rules by what is in force now."""
        return Judge(self.layers(), now_ns)

    def next_expiry_ns(self, now_ns: int) -> int | None:
        """Return when something will expire next; None: nothing will."""
        return next_expiry_ns(self._rules(), now_ns)

    # -- what changes it -----------------------------------------------------

    def receive(self, policy: Policy, now_ns: int) -> bool:
        """Take a policy of the hub; say whether something was decided anew."""
        if policy.version == 0 or policy.key == self._last_key():
            return False
        rejection = self._rejection_of(policy)
        if rejection is None:
            self._ignored = None
            good = without_expired(by_own_clock(policy, now_ns), now_ns)
            self.kept = Kept(good, None, self.kept.overlays)
        elif rejection is REMOTE_CONTROL_OFF:
            self._ignored = _refusal(policy, rejection)
        else:
            self.kept = replace(self.kept, rejected=_refusal(policy, rejection))
        return True

    def change_overlay(self, request: ChangeRequest, now_ns: int) -> Policy:
        """Change an overlay, and return it.

        Raises:
            PolicyError: the change is wrong; nothing has changed.
        """
        new, overlay = overlays.changed(self.kept.overlays, request, now_ns)
        self.kept = replace(self.kept, overlays=new)
        return overlay

    def expire(self, now_ns: int) -> dict[str, int]:
        """Take out what has expired; return how many rules, by layer."""
        counts = {
            policy.origin if policy is not self.kept.fleet else FLEET: count
            for policy in (self.kept.fleet, *self._overlays())
            if (count := sum(not is_live(rule, now_ns) for rule in policy.rules))
        }
        if counts:
            self.kept = replace(
                self.kept,
                fleet=without_expired(self.kept.fleet, now_ns),
                overlays=overlays.pruned(self._overlays(), now_ns),
            )
        return counts

    # -- inside --------------------------------------------------------------

    def _last_key(self) -> tuple[str, int]:
        """Key of the policy that came last."""
        return self.rejected.key if self.rejected is not None else self.fleet.key

    def _rejection_of(self, policy: Policy) -> Rejection | None:
        if not self._guard.remote_control:
            return REMOTE_CONTROL_OFF
        try:
            judge(policy.rules)
        except PolicyError as error:
            return Rejection(error.rule, error.reason)
        return None

    def _overlays(self) -> tuple[Policy, ...]:
        return self.kept.overlays

    def _rules(self) -> Iterable[Rule]:
        for policy in (self.kept.fleet, *self._overlays()):
            yield from policy.rules


def _refusal(policy: Policy, rejection: Rejection) -> PolicyStatus:
    return PolicyStatus(policy.origin, policy.version, rejection)
