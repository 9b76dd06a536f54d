"""The policy of a fleet whose streams are cut and whose hub is restarted.

The hub's side is real down to its database; collectors are as naive as can be:
they refuse some versions, keep their last good one, and say so in their hello.
"""

import shutil
import tempfile
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from shmtel.policy.model import Policy, PolicyStatus, Rejection, Rule, Selector, Toggle
from shmtel.wire.control import ChangeRequest, RemoveRule, ReplaceRules, SetRule
from shmtel.wire.frames import Hello
from support.hubs import end_services, make_services

HOSTS = ("a", "b", "c")
Key = tuple[str, int]
NONE: Key = ("", 0)


class Stream:
    """What the hub has sent and the collector has not read yet."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.sent: deque[Policy] = deque()

    def welcome(self, policy: Policy | None) -> None:
        """Take the policy that comes with the welcome."""
        if policy is not None:
            self.push_policy(policy)

    def push_policy(self, policy: Policy) -> None:
        """Take a policy; only the newest of those that wait is kept."""
        self.sent.clear()
        self.sent.append(policy)

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Nothing: whoever cuts streams here is the machine."""

    def end(self, code: int, message: str) -> None:
        """Nothing: whoever cuts streams here is the machine."""


@dataclass
class Collector:
    """One host."""

    stream: Stream | None = None
    epoch: int = 0
    in_force: Policy = field(default_factory=Policy)
    rejected: Key = NONE
    refusals: set[Key] = field(default_factory=set)


class PolicyMachine(RuleBasedStateMachine):
    """A hub with a state directory, and three hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self.services = make_services(self.directory)
        self.collectors = {host: Collector() for host in HOSTS}
        self.expected: tuple[Rule, ...] = ()
        self.version = 0

    def teardown(self) -> None:
        """With nothing lost any more, all are where they should be."""
        try:
            self._see_all_agree()
        finally:
            end_services()
            shutil.rmtree(self.directory)

    def _see_all_agree(self) -> None:
        for host in HOSTS:
            self.connect(host)
            self.read(host, refuses=False)
        policy = self.services.desired.policy
        assert (policy.version, policy.rules) == (self.version, self.expected)
        for host, collector in self.collectors.items():
            has_it = policy.version == 0 or collector.in_force.key == policy.key
            assert has_it or collector.rejected == policy.key, host
            if has_it and policy.version:
                assert collector.in_force.rules == policy.rules

    @rule(host=st.sampled_from(HOSTS))
    def connect(self, host: str) -> None:
        """Lose the stream of a host with all that is on it, and make another."""
        collector = self.collectors[host]
        self.cut(host)
        collector.epoch += 1
        collector.stream = Stream()
        hello = Hello(
            *(1, 1, host, host, bytes(16), collector.epoch),
            policy_version=collector.in_force.version,
            policy_origin=collector.in_force.origin,
            rejected_origin=collector.rejected[0],
            rejected_version=collector.rejected[1],
        )
        self.services.fleet.admit(hello, collector.stream)

    @rule(host=st.sampled_from(HOSTS))
    def cut(self, host: str) -> None:
        """Lose the stream of a host."""
        collector = self.collectors[host]
        if collector.stream is not None:
            self.services.fleet.leave(collector.stream)
            collector.stream = None

    @rule(host=st.sampled_from(HOSTS), refuses=st.booleans(), answers=st.booleans())
    def read(self, host: str, refuses: bool, answers: bool = True) -> None:
        """Let a host act on what it was sent; its answer may be lost."""
        collector = self.collectors[host]
        if collector.stream is None or not collector.stream.sent:
            return
        policy = collector.stream.sent.popleft()
        assert policy.key not in collector.refusals, "sent again, unchanged"
        assert policy.key != collector.in_force.key, "sent again, in force"
        rejection = Rejection(1, "why") if refuses else None
        if refuses:
            collector.rejected = policy.key
            collector.refusals.add(policy.key)
        else:
            collector.in_force = policy
        stream = collector.stream
        if not answers:
            self.cut(host)
        status = PolicyStatus(*policy.key, rejection)
        self.services.desired.note_status(stream, status)

    @rule(worker=st.sampled_from("xyz"), state=st.booleans())
    def set_rule(self, worker: str, state: bool) -> None:
        """Set a rule."""
        new = Rule(Selector(worker), Toggle(state))
        kept = [r for r in self.expected if r.selector != new.selector]
        self._change(SetRule(new), (*kept, new))

    @rule(worker=st.sampled_from("xyz"))
    def remove_rule(self, worker: str) -> None:
        """Remove a rule, if it is there."""
        selector = Selector(worker)
        kept = tuple(r for r in self.expected if r.selector != selector)
        if kept != self.expected:
            self._change(RemoveRule(Rule(selector, Toggle(True))), kept)

    @rule()
    def reset(self) -> None:
        """Go back to no rules."""
        self._change(ReplaceRules(), ())

    @rule()
    def restart_hub(self) -> None:
        """Lose every stream and all that the hub has in memory."""
        for host in HOSTS:
            self.cut(host)
        end_services()
        self.services = make_services(self.directory)

    def _change(
        self, change: SetRule | RemoveRule | ReplaceRules, expected: tuple[Rule, ...]
    ) -> None:
        report = self.services.desired.change(ChangeRequest(change))
        self.expected, self.version = expected, self.version + 1
        assert report.version == self.version


TestPolicyMachine = PolicyMachine.TestCase
TestPolicyMachine.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
