"""Who may speak for a host, who hears of a policy, and who has refused it."""

import logging
import threading
from dataclasses import replace

import pytest

from shmtel.hub.fleet import REJECTED_MAX, Fleet, Host
from shmtel.policy.model import (
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
    Selector,
    Toggle,
)
from shmtel.wire.frames import Drain, ErrorCode, Hello


class Recorder:
    """A stream that remembers what it was told."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.told: list[Policy | Drain | int] = []

    def welcome(self, policy: Policy | None) -> None:
        """Remember the policy that came with the welcome."""
        if policy is not None:
            self.push_policy(policy)

    def push_policy(self, policy: Policy) -> None:
        """Remember a policy, which says by which clock it is."""
        assert policy.sent_ns
        self.told.append(replace(policy, sent_ns=0))

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Remember what it was asked."""
        assert reason
        self.told.append(Drain(reason, delay_ms, deadline_ms))

    def end(self, code: int, message: str) -> None:
        """Remember why it ended."""
        assert message
        self.told.append(code)


HELLO = Hello(1, 1, "node", "host", b"i" * 16, 7)
NONE = Policy(origin="o")
FIRST = Policy(1, (Rule(Selector("*"), Toggle(False)),), "o")
REFUSAL = PolicyStatus("o", 1, Rejection(1, "why"))


def test_a_newer_stream_takes_over() -> None:
    """The older one is told, and the newer one has to wait for it."""
    fleet, old, new = Fleet(NONE), Recorder(), Recorder()
    assert fleet.admit(HELLO, old) == []
    assert fleet.admit(replace(HELLO, epoch=8), new) == [old]
    assert old.told == [ErrorCode.SUPERSEDED]
    assert new.told == []
    assert fleet.live_count() == 1


def test_the_same_process_may_come_back() -> None:
    """A stream that was cut is replaced by the next one of its process."""
    fleet, old, new = Fleet(NONE), Recorder(), Recorder()
    fleet.admit(HELLO, old)
    assert fleet.admit(HELLO, new) == [old]


def test_a_stream_that_was_given_up_is_stale() -> None:
    """Its hello may be read after that of the next stream of the same process."""
    fleet, live, late = Fleet(NONE), Recorder(), Recorder()
    fleet.admit(replace(HELLO, stream=2), live)
    assert fleet.admit(replace(HELLO, stream=1), late) == []
    assert late.told == [ErrorCode.STALE_EPOCH]
    assert live.told == []


@pytest.mark.parametrize("epoch", [6, 7])
def test_another_process_of_no_greater_epoch_is_stale(epoch: int) -> None:
    """An older collector, or a clone, does not throw out the live one."""
    fleet, live, stale = Fleet(NONE), Recorder(), Recorder()
    fleet.admit(HELLO, live)
    hello = replace(HELLO, epoch=epoch, instance_id=b"x" * 16)
    assert fleet.admit(hello, stale) == []
    assert stale.told == [ErrorCode.STALE_EPOCH]
    assert live.told == []


def test_a_stream_waits_for_all_before_it() -> None:
    """Streams that were fenced and still work hold up the newest as well."""
    fleet, streams = Fleet(NONE), [Recorder() for _ in range(4)]
    for epoch, stream in enumerate(streams[:3]):
        fleet.admit(replace(HELLO, epoch=epoch), stream)
    fleet.leave(streams[1])
    assert fleet.admit(replace(HELLO, epoch=9), streams[3]) == [streams[0], streams[2]]
    assert streams[0].told == [ErrorCode.SUPERSEDED]


def test_hosts_do_not_touch_each_other() -> None:
    """Another host is another fence; one that left leaves nothing behind."""
    fleet, one, two = Fleet(NONE), Recorder(), Recorder()
    fleet.admit(HELLO, one)
    assert fleet.admit(replace(HELLO, host_id="other", epoch=1), two) == []
    assert fleet.live_count() == 2
    fleet.leave(one)
    fleet.leave(one)
    assert fleet.live_count() == 1


def test_a_policy_goes_to_all_that_are_live() -> None:
    """Fenced streams hear nothing any more; later ones start with it."""
    fleet, old, new, late = Fleet(NONE), Recorder(), Recorder(), Recorder()
    fleet.admit(HELLO, old)
    fleet.admit(replace(HELLO, epoch=8), new)
    fleet.push(FIRST)
    assert new.told == [FIRST]
    assert FIRST not in old.told
    fleet.admit(replace(HELLO, host_id="late"), late)
    assert late.told == [FIRST]


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        (HELLO, [FIRST]),
        (replace(HELLO, policy_origin="o", policy_version=1), []),
        (replace(HELLO, rejected_origin="o", rejected_version=1), []),
        (replace(HELLO, policy_origin="p", policy_version=1), [FIRST]),
        (replace(HELLO, policy_origin="o", policy_version=2), [FIRST]),
        (replace(HELLO, rejected_origin="p", rejected_version=1), [FIRST]),
    ],
)
def test_a_stream_is_sent_what_it_has_not_judged_yet(
    hello: Hello, told: list[Policy]
) -> None:
    """A version that is in force there, or was refused there, is not sent again."""
    stream = Recorder()
    Fleet(FIRST).admit(hello, stream)
    assert stream.told == told


def test_a_refused_policy_is_not_sent_again() -> None:
    """Neither to the next streams of the host, nor by the next hub."""
    fleet, first, second, third = Fleet(FIRST), Recorder(), Recorder(), Recorder()
    fleet.admit(HELLO, first)
    assert fleet.note_status(first, REFUSAL) == HELLO
    assert fleet.note_status(first, REFUSAL) is None
    fleet.admit(HELLO, second)
    Fleet(FIRST, {HELLO.host_id: HELLO.instance_id}).admit(HELLO, third)
    assert second.told == third.told == []
    changed = replace(FIRST, version=2)
    fleet.push(changed)
    fleet.admit(HELLO, third)
    assert second.told[0] == changed
    assert third.told == [changed]


def test_a_restarted_collector_says_itself_what_it_has_refused() -> None:
    """Another process may understand what the one before refused."""
    fleet, old, new = Fleet(FIRST), Recorder(), Recorder()
    fleet.admit(HELLO, old)
    fleet.note_status(old, REFUSAL)
    hello = replace(HELLO, epoch=8, instance_id=b"n" * 16)
    fleet.admit(hello, new)
    assert new.told == [FIRST]
    assert fleet.note_status(new, REFUSAL) == hello


@pytest.mark.parametrize(
    "status",
    [
        replace(REFUSAL, version=7),
        replace(REFUSAL, origin="p"),
        replace(REFUSAL, rejection=None),
    ],
)
def test_a_status_that_refuses_nothing_of_ours_is_noted_only(
    status: PolicyStatus,
) -> None:
    """A made-up version, another hub's policy, and consent keep nothing away."""
    fleet, stream, again = Fleet(FIRST), Recorder(), Recorder()
    fleet.admit(HELLO, stream)
    assert fleet.note_status(stream, status) is None
    (host,) = fleet.hosts()
    assert host == Host(HELLO.host_id, HELLO.node, status, host.since_ns)
    assert host.since_ns > 0
    fleet.admit(HELLO, again)
    assert again.told == [FIRST]


def test_an_unknown_stream_has_no_say() -> None:
    """A status of a stream that was fenced out or refused is dropped."""
    fleet = Fleet(FIRST)
    assert fleet.note_status(Recorder(), REFUSAL) is None
    assert fleet.hosts() == []


def test_the_memory_of_refusals_is_bounded() -> None:
    """A host that comes under ever new names displaces the oldest."""
    fleet = Fleet(
        FIRST, dict.fromkeys(map(str, range(REJECTED_MAX)), HELLO.instance_id)
    )
    stream, told = Recorder(), Recorder()
    fleet.admit(HELLO, stream)
    fleet.note_status(stream, REFUSAL)
    fleet.admit(replace(HELLO, host_id="0"), told)
    assert told.told == [FIRST]


def test_an_older_copy_of_the_state_is_noticed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A host that is ahead of this hub shows that its state went back."""
    with caplog.at_level(logging.WARNING):
        Fleet(FIRST).admit(
            replace(HELLO, policy_origin="o", policy_version=9), Recorder()
        )
    assert "version 9" in caplog.text


def test_a_closing_fleet_accepts_nobody() -> None:
    """All streams are told, and so is one that comes too late."""
    fleet, stream, late = Fleet(NONE), Recorder(), Recorder()
    fleet.admit(HELLO, stream)
    assert fleet.close() == [stream]
    fleet.admit(replace(HELLO, host_id="late"), late)
    assert stream.told == late.told == [ErrorCode.SHUTTING_DOWN]


def test_a_fleet_that_is_drained_accepts_nobody() -> None:
    """All streams are asked to leave, each for a time of its own; then none comes."""
    fleet, streams, late = Fleet(NONE), [Recorder() for _ in range(50)], Recorder()
    for number, stream in enumerate(streams):
        fleet.admit(replace(HELLO, host_id=f"host-{number}"), stream)
    assert fleet.drain(1.5) == streams
    drains = [told for stream in streams for told in stream.told]
    assert {drain.deadline_ms for drain in drains if isinstance(drain, Drain)} == {1500}
    delays = {drain.delay_ms for drain in drains if isinstance(drain, Drain)}
    assert len(delays) > 10
    assert max(delays) < 1_000
    fleet.admit(replace(HELLO, host_id="late"), late)
    assert late.told == [ErrorCode.SHUTTING_DOWN]
