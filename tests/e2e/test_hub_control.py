"""A real hub: policies down the streams, and the Control service."""

from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub import Hub
from shmtel.policy.model import Filter, Policy, Rule, Sampling, Selector, Toggle
from shmtel.wire import control, control_codec
from shmtel.wire.collector_events import PolicyReceived
from support.hubs import running_hub
from support.uplink import (
    WORKER,
    ScriptedCollector,
    connected,
    make_hello,
    make_segment,
)


def policies(collector: ScriptedCollector) -> list[Policy]:
    """Return the policies that a collector got, oldest first."""
    return [event.policy for event in collector.of(PolicyReceived)]


def wait_version(collector: ScriptedCollector, version: int) -> Policy:
    """Wait for a version of the policy."""
    collector.wait_for(
        lambda: bool(policies(collector)) and policies(collector)[-1].version == version
    )
    return policies(collector)[-1]


def test_a_policy_goes_to_live_and_later_streams() -> None:
    """Each stream has the whole desired state, from its beginning on."""
    expected = (
        Rule(Selector("w-*"), Toggle(False)),
        Rule(Selector("*"), Sampling(0.25, ("a.*",))),
        Rule(Selector("w-1"), Filter(("a.*",), ("a.b",))),
    )
    with running_hub() as hub, connected(hub.address) as live:
        hub.toggle("w-*", False)
        hub.update_sampling("*", 0.25, ["a.*"])
        version = hub.update_filter("w-1", allow=["a.*"], deny=["a.b"]).version
        sent = wait_version(live, version)
        assert sent.sent_ns
        assert replace(sent, sent_ns=0) == hub.policy
        assert hub.policy.rules == expected
        with connected(hub.address, make_hello("late")) as late:
            assert wait_version(late, 3).rules == expected


def test_a_wrong_rule_is_refused() -> None:
    """It is refused where it is set, and nobody hears of it."""
    with running_hub() as hub:
        with pytest.raises(ConfigurationError, match="between 0 and 1"):
            hub.update_sampling("*", 2.0)
        assert hub.policy.key[1] == 0


def change_request(rule: Rule) -> bytes:
    """Return the request that sets a rule."""
    request = control.ChangeRequest(control.SetRule(rule))
    return control_codec.encode_change_request(request)


def caller(hub: Hub, channel: grpc.Channel) -> Callable[[str, bytes], bytes]:
    """Return a function that calls a method of the Control service."""

    def call(method: str, request: bytes) -> bytes:
        result: bytes = channel.unary_unary(control.method_path(method))(
            request, timeout=10
        )
        return result

    return call


def test_the_control_service_sets_rules_and_lists_workers() -> None:
    """What an operator's tool sends is in force and reaches the collectors."""
    with (
        running_hub() as hub,
        connected(hub.address) as collector,
        grpc.insecure_channel(hub.address) as channel,
    ):
        call = caller(hub, channel)
        rule = Rule(Selector("w-1"), Sampling(0.5))
        answer = call(control.CHANGE_POLICY, change_request(rule))
        assert control_codec.decode_change_report(answer).version == 1
        assert wait_version(collector, 1).rules == (rule,)
        collector.open(b"r" * 16)
        collector.wait_acked(collector.send(make_segment(0, 2)))
        answer = call(control.LIST_WORKERS, control_codec.encode_list_workers_request())
        assert control_codec.decode_list_workers_response(answer) == [
            control.WorkerStatus(
                "node-of-host-1", WORKER, b"r" * 16, 2, {0: 2}, is_closed=False
            )
        ]


@pytest.mark.parametrize(
    "request_bytes",
    [b"\xff", b"", change_request(Rule(Selector("*"), Sampling(7.0)))],
)
def test_the_control_service_refuses_what_is_wrong(request_bytes: bytes) -> None:
    """A wrong request gets a status and a text, and changes nothing."""
    with running_hub() as hub, grpc.insecure_channel(hub.address) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            caller(hub, channel)(control.CHANGE_POLICY, request_bytes)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.details()
        assert hub.policy.key[1] == 0
