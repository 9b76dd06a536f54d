"""Who may speak for a host, and who hears of a new policy."""

import threading
from dataclasses import replace

import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub.fleet import Fleet
from shmtel.policy.model import Policy, Rule, Sampling, Selector, Toggle
from shmtel.wire.frames import ErrorCode
from support.frames import HELLO


class Recorder:
    """A stream that remembers what it was told."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.told: list[Policy | int] = []

    def welcome(self, policy: Policy) -> None:
        """Remember the policy that came with the welcome."""
        self.told.append(policy)

    def push_policy(self, policy: Policy) -> None:
        """Remember a policy."""
        self.told.append(policy)

    def end(self, code: int, message: str) -> None:
        """Remember why it ended."""
        assert message
        self.told.append(code)


def test_a_newer_stream_takes_over() -> None:
    """The older one is told, and the newer one has to wait for it."""
    fleet, old, new = Fleet(), Recorder(), Recorder()
    assert fleet.admit(HELLO, old) == []
    assert fleet.admit(replace(HELLO, epoch=8), new) == [old]
    assert old.told == [Policy(0), ErrorCode.SUPERSEDED]
    assert new.told == [Policy(0)]
    assert fleet.live_count() == 1


def test_the_same_process_may_come_back() -> None:
    """A stream that was cut is replaced by the next one of its process."""
    fleet, old, new = Fleet(), Recorder(), Recorder()
    fleet.admit(HELLO, old)
    assert fleet.admit(HELLO, new) == [old]


@pytest.mark.parametrize("epoch", [6, 7])
def test_another_process_of_no_greater_epoch_is_stale(epoch: int) -> None:
    """An older collector, or a clone, does not throw out the live one."""
    fleet, live, stale = Fleet(), Recorder(), Recorder()
    fleet.admit(HELLO, live)
    hello = replace(HELLO, epoch=epoch, instance_id=b"x" * 16)
    assert fleet.admit(hello, stale) == []
    assert stale.told == [ErrorCode.STALE_EPOCH]
    assert live.told == [Policy(0)]


def test_a_stream_waits_for_all_before_it() -> None:
    """Streams that were fenced and still work hold up the newest as well."""
    fleet, streams = Fleet(), [Recorder() for _ in range(4)]
    for epoch, stream in enumerate(streams[:3]):
        fleet.admit(replace(HELLO, epoch=epoch), stream)
    fleet.leave(streams[1])
    assert fleet.admit(replace(HELLO, epoch=9), streams[3]) == [streams[0], streams[2]]
    assert streams[0].told == [Policy(0), ErrorCode.SUPERSEDED]


def test_hosts_do_not_touch_each_other() -> None:
    """Another host is another fence; one that left leaves nothing behind."""
    fleet, one, two = Fleet(), Recorder(), Recorder()
    fleet.admit(HELLO, one)
    assert fleet.admit(replace(HELLO, host_id="other", epoch=1), two) == []
    assert fleet.live_count() == 2
    fleet.leave(one)
    fleet.leave(one)
    assert fleet.live_count() == 1


def test_a_policy_goes_to_all_that_are_live() -> None:
    """Fenced streams hear nothing any more; later ones start with it."""
    fleet, old, new, late = Fleet(), Recorder(), Recorder(), Recorder()
    fleet.admit(HELLO, old)
    fleet.admit(replace(HELLO, epoch=8), new)
    rule = Rule(Selector("*"), Toggle(False))
    assert fleet.set_rule(rule) == (Policy(1, (rule,)), 1)
    assert new.told == [Policy(0), Policy(1, (rule,))]
    assert Policy(1, (rule,)) not in old.told
    fleet.admit(replace(HELLO, host_id="late"), late)
    assert late.told == [Policy(1, (rule,))]


def test_a_wrong_rule_changes_nothing() -> None:
    """What is refused is not sent."""
    fleet, stream = Fleet(), Recorder()
    fleet.admit(HELLO, stream)
    with pytest.raises(ConfigurationError):
        fleet.set_rule(Rule(Selector("*"), Sampling(7.0)))
    assert stream.told == [Policy(0)]
    assert fleet.policy == Policy(0)


def test_a_closing_fleet_accepts_nobody() -> None:
    """All streams are told, and so is one that comes too late."""
    fleet, stream, late = Fleet(), Recorder(), Recorder()
    fleet.admit(HELLO, stream)
    assert fleet.close() == [stream]
    fleet.admit(replace(HELLO, host_id="late"), late)
    assert stream.told[1:] == late.told == [ErrorCode.SHUTTING_DOWN]
