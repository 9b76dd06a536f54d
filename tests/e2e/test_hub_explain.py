"""A real hub explains what is in force, over its API and its service."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
import pytest

from shmtel import _ring
from shmtel.config import threshold_of
from shmtel.errors import ConfigurationError
from shmtel.hub import Hub
from shmtel.hub.control import WAITING_MAX
from shmtel.policy.model import (
    FLEET,
    GUARD,
    Filter,
    Layer,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
)
from shmtel.policy.verdicts import Verdict
from shmtel.wire import control, control_codec
from support.hubs import WAIT_S, running_hub
from support.uplink import WORKER, ScriptedCollector, connected

NAMES = ("a.b", "a.c", "secret.x")
OVERLAY = Rule(Selector(), Sampling(0.5, ("a.c",)))
SECRET = Rule(Selector(), Filter((), ("secret.*",)))
LOCAL = (Layer("debug", (OVERLAY,)), Layer(GUARD, (SECRET,), True))


def say(collector: ScriptedCollector, hub: Hub, status: PolicyStatus) -> None:
    """Send a status, and wait until the hub has it."""
    collector.protocol.answer_policy(status)
    collector.flush()
    collector.open(ring_id=bytes(16), names=())  # answered after it
    assert hub.policy_report().hosts[0].status == status


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def one_worker() -> Iterator[tuple[Hub, ScriptedCollector]]:
    """Yield a hub, and a collector with one worker that has three names."""
    with running_hub() as hub, connected(hub.address) as collector:
        collector.open(names=NAMES)
        yield hub, collector


def test_every_name_is_explained_by_the_rule_that_decides() -> None:
    """The fleet's policy, an overlay and a guard rail are told apart."""
    with one_worker() as (hub, collector):
        hub.update_sampling("w-*", 0.25, ["a.*"])
        (rate,) = hub.policy.rules
        origin, version = hub.policy.key
        status = PolicyStatus(
            origin, version, None, origin, version, local_layers=LOCAL
        )
        say(collector, hub, status)
        collector.wait_acked(collector.send())
        explanation = hub.explain("w-1")[0]
    assert explanation.worker == WORKER
    assert explanation.node == "node-of-host-1"
    assert explanation.note == ""
    assert explanation.enabled == Verdict(_ring.RING_ON)
    assert explanation.events == {
        "a.b": Verdict(threshold_of(0.25), FLEET, rate),
        "a.c": Verdict(threshold_of(0.5), "debug", OVERLAY),
        "secret.x": Verdict(_ring.WORD_DENIED, GUARD, SECRET),
    }


@pytest.mark.parametrize(
    ("status", "note"),
    [
        (None, "has not said yet"),
        (PolicyStatus(), "has no policy in force, not 1"),
        (PolicyStatus("p", 3, None, "p", 3), "has version 3 of another hub in force"),
        (
            PolicyStatus("ours", 1, Rejection(1, "why")),
            "no policy in force, not 1: it has rejected 1, why",
        ),
    ],
)
def test_a_host_with_another_policy_is_said_to_have_it(
    status: PolicyStatus | None, note: str
) -> None:
    """What is explained is what the hub wants, and whether the host goes by it."""
    with one_worker() as (hub, collector):
        hub.toggle("*", False)
        if status is not None:
            ours = status.origin == "ours"
            origin = hub.policy.origin if ours else status.origin
            say(collector, hub, replace(status, origin=origin))
        explanation = hub.explain("w-1")[0]
    assert note in explanation.note
    assert explanation.enabled.word == _ring.RING_OFF


def test_a_limit_on_what_no_rule_sets_is_said_to_be_unsure() -> None:
    """What a worker has set itself holds where it is stricter, and its host knows."""
    limit = Rule(Selector(), Sampling(0.5))
    layers = (Layer(GUARD, (limit,), True),)
    with one_worker() as (hub, collector):
        hub.update_sampling("*", 0.75, ["a.*", "secret.*"])
        key = hub.policy.key
        say(collector, hub, PolicyStatus(*key, None, *key, local_layers=layers))
        collector.wait_acked(collector.send())
        capped = hub.explain("w-1")[0]
        hub.update_sampling("*", 0.75, ["a.*"])
        hub.remove_rule(hub.policy.rules[0])
        unsure = hub.explain("w-1")[0]
    assert capped.note == ""
    assert capped.events["a.b"] == Verdict(threshold_of(0.5), GUARD, limit)
    assert capped.other == Verdict(_ring.WORD_UNSET)
    assert unsure.events["secret.x"] == Verdict(threshold_of(0.5), GUARD, limit)
    assert "a stricter setting of the worker's own holds" in unsure.note


def test_only_live_workers_that_match_are_explained() -> None:
    """Neither others, nor those whose host is away, nor too many."""
    with running_hub() as hub:
        with connected(hub.address) as collector:
            for number in range(257):
                ring_id = number.to_bytes(16)
                collector.open(ring_id, worker=replace(WORKER, worker_id=f"w-{number}"))
            assert hub.explain("other") == []
            assert [e.worker.worker_id for e in hub.explain("w-25?")] == [
                f"w-25{digit}" for digit in range(7)
            ]
            with pytest.raises(ConfigurationError, match="257 workers match"):
                hub.explain("*")
        wait_until(lambda: hub.stats().streams == 0)
        assert hub.explain("w-1") == []


def test_the_service_answers_all_its_calls() -> None:
    """The policy with its hosts, the explanation, and a change with its answers."""
    with one_worker() as (hub, _), grpc.insecure_channel(hub.address) as channel:

        def call(method: str, request: bytes) -> bytes:
            method = control.method_path(method)
            answer: bytes = channel.unary_unary(method)(request, timeout=WAIT_S)
            return answer

        rules = (Rule(Selector(), Toggle(False)), Rule(Selector("w"), Toggle(True)))
        request = control.ChangeRequest(control.SetRules(rules), 1)
        answer = call(
            control.CHANGE_POLICY, control_codec.encode_change_request(request)
        )
        changed = control_codec.decode_change_report(answer)
        assert changed.version == 1
        assert [host.missing for host in changed.hosts] == ["none in time"]
        answer = call(control.GET_POLICY, control_codec.encode_policy_request())
        report = control_codec.decode_policy_report(answer)
        assert report == hub.policy_report()
        assert report.layers == (Layer(FLEET, rules),)
        answer = call(
            control.EXPLAIN_POLICY, control_codec.encode_explain_request("w-?")
        )
        assert control_codec.decode_explanations(answer) == hub.explain("w-?")


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            control.ChangeRequest(
                control.SetRule(Rule(Selector(), Toggle(True))), overlay="x"
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "a hub has no overlays",
        ),
        (
            control.ChangeRequest(control.RemoveRule(Rule(Selector(), Toggle(True)))),
            grpc.StatusCode.INVALID_ARGUMENT,
            "there is no such rule",
        ),
        (
            control.ChangeRequest(
                control.SetRules(
                    (Rule(Selector(), Toggle(True)), Rule(Selector(), Sampling(7.0)))
                )
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "rule 2: a sampling rate is between 0 and 1",
        ),
        (
            control.ChangeRequest(
                control.SetRule(Rule(Selector(), Toggle(True))), 0, 2**63
            ),
            grpc.StatusCode.INVALID_ARGUMENT,
            "ten years",
        ),
        (
            control.ChangeRequest(control.SetRules(())),
            grpc.StatusCode.INVALID_ARGUMENT,
            "no rule to set",
        ),
    ],
)
def test_a_wrong_change_is_refused_with_its_reason(
    request_: control.ChangeRequest, code: grpc.StatusCode, text: str
) -> None:
    """Nothing has changed then."""
    with running_hub() as hub, grpc.insecure_channel(hub.address) as channel:
        method = control.method_path(control.CHANGE_POLICY)
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(method)(
                control_codec.encode_change_request(request_), timeout=WAIT_S
            )
        assert refused.value.code() is code
        assert text in refused.value.details()
        assert hub.policy.version == 0


def test_those_who_wait_do_not_shut_out_those_who_look() -> None:
    """One waiter too many is refused, and others are served at once."""
    change = control_codec.encode_change_request(
        control.ChangeRequest(
            control.SetRule(Rule(Selector(), Toggle(True))), int(WAIT_S * 1_000)
        )
    )
    with (
        running_hub() as hub,
        connected(hub.address),
        grpc.insecure_channel(hub.address) as channel,
    ):
        set_rule = channel.unary_unary(control.method_path(control.CHANGE_POLICY))
        waiting = [set_rule.future(change, timeout=WAIT_S) for _ in range(WAITING_MAX)]
        look = channel.unary_unary(control.method_path(control.GET_POLICY))
        while hub.policy.version < WAITING_MAX:
            look(b"", timeout=WAIT_S)
        with pytest.raises(grpc.RpcError) as refused:
            set_rule(change, timeout=WAIT_S)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert hub.policy.version == WAITING_MAX
        for call in waiting:
            call.cancel()
        # Whoever has gone makes room, long before the wait is over.
        wait_until(lambda: hub_has_room(set_rule))


def hub_has_room(set_rule: grpc.UnaryUnaryMultiCallable) -> bool:
    """Tell whether one more call may wait."""
    brief = control_codec.encode_change_request(
        control.ChangeRequest(control.ReplaceRules(), 1)
    )
    call = set_rule.future(brief, timeout=WAIT_S)
    assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)
    return bool(call.code() is grpc.StatusCode.OK)
