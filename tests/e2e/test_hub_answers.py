"""A real hub and what collectors answer to its policies."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from shmtel.hub import Hub
from shmtel.hub.store import StoreError
from shmtel.policy.model import (
    Layer,
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
    WorkerResult,
)
from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.collector_events import Ended, PolicyReceived
from shmtel.wire.control import ChangeReport
from shmtel.wire.frames import ErrorCode
from shmtel.wire.summary import summary
from support.hubs import WAIT_S, running_hub
from support.uplink import ScriptedCollector, connected, make_hello

REFUSED = Rejection(1, "no such thing here")


def received(collector: ScriptedCollector, version: int) -> Policy:
    """Wait for a version of the policy."""

    def policies() -> list[Policy]:
        return [event.policy for event in collector.of(PolicyReceived)]

    collector.wait_for(lambda: version in [policy.version for policy in policies()])
    return policies()[-1]


def answer(collector: ScriptedCollector, policy: Policy, **fields: object) -> None:
    """Say what became of a policy."""
    status = PolicyStatus(policy.origin, policy.version, **fields)  # type: ignore[arg-type]
    collector.protocol.answer_policy(status)
    collector.flush()


def workers(*ids: str, failure: str = "") -> tuple[WorkerResult, ...]:
    """Return results of workers of a pool."""
    return tuple(
        WorkerResult(bytes(16), Traits(worker, "p", "s"), failure) for worker in ids
    )


def in_background(change: Callable[[], ChangeReport]) -> Future[ChangeReport]:
    """Make a change that waits, without waiting for it here."""
    future: Future[ChangeReport] = Future()
    thread = threading.Thread(target=lambda: future.set_result(change()), daemon=True)
    thread.start()
    return future


@contextmanager
def two_hosts(hub: Hub) -> Iterator[tuple[ScriptedCollector, ScriptedCollector]]:
    """Yield the collectors of two hosts."""
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(connected(hub.address, make_hello(host)))
            for host in ("a", "b")
        )
        yield one, two


def test_a_change_waits_for_all_hosts_and_says_who_applied_it() -> None:
    """Only workers that the rule selects count, by id, pool and node."""
    with running_hub() as hub, two_hosts(hub) as (one, two):
        waiting = in_background(
            lambda: hub.toggle("w-*", False, pool="p", node="node-of-*", wait=WAIT_S)
        )
        answer(one, received(one, 1), workers=workers("w-1", "w-2", "other"))
        assert not waiting.done()
        answer(two, received(two, 1), workers=workers("w-3", failure="damaged"))
        done = summary(waiting.result(WAIT_S))
    assert done.text.startswith("applied by 2 of 3 workers in ")
    assert done.problems == ("worker 'w-3' on node-of-b: damaged",)


def test_a_host_that_refuses_is_named_and_not_asked_again(tmp_path: Path) -> None:
    """Not on its next stream, and not by the hub after a restart either."""
    with running_hub(state_dir=tmp_path) as hub, two_hosts(hub) as (one, two):
        waiting = in_background(lambda: hub.toggle("*", False, wait=WAIT_S))
        answer(one, received(one, 1), workers=workers("w-1"))
        answer(two, received(two, 1), rejection=REFUSED)
        done = summary(waiting.result(WAIT_S))
        assert done.rejected == 1
        assert done.problems == ("node-of-b: rule 1 was rejected: no such thing here",)
        with connected(hub.address, make_hello("b", epoch=2)) as again:
            again.open()  # answered after whatever came with the welcome
            assert again.of(PolicyReceived) == []
    with (
        running_hub(state_dir=tmp_path) as hub,
        connected(hub.address, make_hello("b", epoch=3)) as again,
    ):
        again.open()
        assert again.of(PolicyReceived) == []
        hub.toggle("*", True)
        assert received(again, 2).rules == hub.policy.rules


def test_a_host_that_goes_is_not_waited_for() -> None:
    """The report says that its stream has ended."""
    with running_hub() as hub, connected(hub.address) as collector:
        waiting = in_background(lambda: hub.toggle("*", False, wait=WAIT_S))
        received(collector, 1)
        collector.cut()
        (host,) = waiting.result(WAIT_S).hosts
        assert (host.status, host.missing) == (None, "its stream has ended")


def test_a_wait_has_an_end() -> None:
    """A host that says nothing is reported as such, and the change stands."""
    with running_hub() as hub, connected(hub.address):
        report = hub.toggle("*", False, wait=0.05)
        assert [host.missing for host in report.hosts] == ["none in time"]
        assert report.version == hub.policy.version == 1
        assert [h.missing for h in hub.toggle("*", True).hosts] == ["not waited for"]


def test_a_later_version_answers_for_an_earlier_one() -> None:
    """Of two changes in a row both are answered by the status of the second."""
    with running_hub() as hub, connected(hub.address) as collector:
        first = in_background(lambda: hub.toggle("*", False, wait=WAIT_S))
        received(collector, 1)
        second = in_background(lambda: hub.update_sampling("*", 0.5, wait=WAIT_S))
        answer(collector, received(collector, 2), workers=workers("w"))
        for waiting in (first, second):
            assert summary(waiting.result(WAIT_S)).applied == 1


def test_the_policy_outlives_the_hub_and_comes_with_its_deadlines(
    tmp_path: Path,
) -> None:
    """A host that has it in force is not sent it again; another one is."""
    with running_hub(state_dir=tmp_path) as hub:
        hub.update_sampling("*", 0.1, keep_errors=True, lifetime=3_600)
        policy = hub.policy
    expected = (Sampling(0.1), Sampling(1.0, ("*.exception",)))
    assert tuple(rule.action for rule in policy.rules) == expected
    assert policy.version == 1
    assert len({rule.expires_ns for rule in policy.rules} - {0}) == 1
    has_it = replace(
        make_hello("a"), policy_origin=policy.origin, policy_version=policy.version
    )
    with (
        running_hub(state_dir=tmp_path) as hub,
        connected(hub.address, has_it) as one,
        connected(hub.address, make_hello("b")) as two,
    ):
        assert hub.policy == policy
        assert received(two, 1).rules == policy.rules
        one.open()
        assert one.of(PolicyReceived) == []


def test_a_hub_without_a_policy_sends_none() -> None:
    """Collectors keep what they have until this hub has something to say."""
    with running_hub() as hub, connected(hub.address) as collector:
        collector.open()
        assert collector.of(PolicyReceived) == []
        hub.reset_policy()
        assert received(collector, 1).rules == ()


def test_rules_are_removed_and_replaced() -> None:
    """By what they are known by, or all at once."""
    rule = Rule(Selector("w", pool="p"), Toggle(False))
    with running_hub() as hub:
        hub.toggle("w", True, pool="p")
        hub.update_sampling("*", 0.5)
        hub.remove_rule(rule)
        assert [r.action for r in hub.policy.rules] == [Sampling(0.5)]
        hub.replace_rules([rule])
        assert hub.policy.rules == (rule,)
        assert hub.reset_policy().version == 5
        assert hub.policy.rules == ()


def test_a_disk_that_fails_refuses_and_nobody_hears_of_it(tmp_path: Path) -> None:
    """What cannot be kept is not sent."""
    with running_hub(state_dir=tmp_path) as hub, connected(hub.address) as collector:
        hub._parts.store.close()
        with pytest.raises(StoreError):
            hub.toggle("*", False)
        collector.open()
        assert collector.of(PolicyReceived) == []
        assert hub.policy.version == 0


def test_changes_are_events_of_the_hub() -> None:
    """Set, removed, replaced, rejected: each with the rule and the version."""
    changes: list[tuple[object, ...]] = []

    def note(_event: str, measurements: object, metadata: object, hub: Hub) -> None:
        assert isinstance(measurements, dict)
        assert isinstance(metadata, dict)
        what = metadata.get("rule", metadata.get("reason"))
        changes.append((metadata["cause"], measurements["version"], what))
        if measurements["version"] == 1:
            hub.update_sampling("*", 0.5)  # a handler that changes it in turn

    with running_hub() as hub:
        hub.attach("changes", "policy.changed", note, hub)
        with connected(hub.address) as collector:
            hub.toggle("w-1", False, pool="p")
            answer(collector, received(collector, 2), rejection=REFUSED)
            collector.open()
            hub.remove_rule(Rule(Selector(), Sampling(0.1)))
            hub.reset_policy()
    assert changes == [
        ("set", 1, "toggle off for worker=w-1 pool=p"),
        ("set", 2, "sampling 0.5"),
        ("rejected", 2, "no such thing here"),
        ("removed", 3, "sampling 0.1"),
        ("replaced", 4, ""),
    ]


HUGE = "x" * 3_000_000
HOSTILE = [
    PolicyStatus(origin=HUGE),
    PolicyStatus(rejection=Rejection(1, HUGE)),
    PolicyStatus(workers=workers(HUGE)),
    PolicyStatus(workers=workers(*["w"] * 4_097)),
    PolicyStatus(local_layers=(Layer(HUGE),)),
    PolicyStatus(local_layers=(Layer("x"),) * 33),
    PolicyStatus(local_layers=(Layer("x", (Rule(Selector("*a" * 200), None),)),)),
]


@pytest.mark.parametrize("status", HOSTILE, ids=range(len(HOSTILE)))
def test_a_status_of_absurd_size_ends_its_stream_only(status: PolicyStatus) -> None:
    """Nothing of it is kept, and other hosts go on."""
    with running_hub() as hub, two_hosts(hub) as (hostile, honest):
        hostile.send_raw(encode_collector_frame(status))
        hostile.wait_over()
        ended = hostile.of(Ended)
        assert [end.error.code for end in ended] == [ErrorCode.PROTOCOL_VIOLATION]
        assert hub.stats().violations == 1
        waiting = in_background(lambda: hub.toggle("*", False, wait=WAIT_S))
        answer(honest, received(honest, 1), workers=workers("w"))
        assert summary(waiting.result(WAIT_S)).applied == 1


def test_made_up_answers_settle_nothing() -> None:
    """Versions that were never sent, of whatever origin, are no answers."""
    with running_hub() as hub, connected(hub.address) as collector:
        waiting = in_background(lambda: hub.toggle("*", False, wait=WAIT_S))
        policy = received(collector, 1)
        for origin, version in (("", 0), ("p", 2**64 - 1), (policy.origin, 0)):
            answer(collector, Policy(version, origin=origin), rejection=REFUSED)
        collector.open()
        assert not waiting.done()
        answer(collector, policy, workers=workers("w"))
        assert summary(waiting.result(WAIT_S)).is_complete
        answer(collector, Policy(2**64 - 1, origin=policy.origin), rejection=REFUSED)
        assert in_background(lambda: hub.toggle("*", True)).result(WAIT_S).version == 2
