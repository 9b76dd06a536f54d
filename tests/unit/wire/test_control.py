"""The messages of the Control service."""

import pytest

from shmtel.policy.model import (
    FLEET,
    Layer,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
    WorkerResult,
)
from shmtel.policy.verdicts import Verdict
from shmtel.wire import control, control_codec
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from support.frames import WORKER

RULE = Rule(Selector("w-*", "p", "s", "n"), Sampling(0.5, ("a.*",)), 7)
STATUS = PolicyStatus(
    "o", 3, Rejection(2, "why"), "o", 2, (WorkerResult(b"r", Traits("w")),), 1, 5
)
HOSTS = (
    control.HostReport("n", "h", STATUS),
    control.HostReport("m", "i", None, "gone"),
)


@pytest.mark.parametrize(
    "change",
    [
        control.SetRule(RULE),
        control.SetRules((RULE, Rule(Selector(), Toggle(False)))),
        control.RemoveRule(RULE),
        control.ReplaceRules(),
        control.ReplaceRules((RULE, Rule(Selector(), Toggle(False)))),
    ],
)
def test_changes_come_back(change: control.Change) -> None:
    """What the operator's tool encodes, the server decodes."""
    request = control.ChangeRequest(change, 1_000, 60_000, "debug")
    data = control_codec.encode_change_request(request)
    assert control_codec.decode_change_request(data) == request


def test_answers_come_back() -> None:
    """What the server encodes, the operator's tool decodes."""
    changed = control.ChangeReport("o", 3, HOSTS, 12)
    data = control_codec.encode_change_report(changed)
    assert control_codec.decode_change_report(data) == changed
    policy = control.PolicyReport("o", 3, (Layer(FLEET, (RULE,)),), HOSTS)
    data = control_codec.encode_policy_report(policy)
    assert control_codec.decode_policy_report(data) == policy
    status = control.WorkerStatus("node", WORKER, b"r" * 16, 5, {0: 4, 8: 1}, True)
    data = control_codec.encode_list_workers_response([status])
    assert control_codec.decode_list_workers_response(data) == [status]


def test_explanations_come_back() -> None:
    """A verdict keeps its word, its layer and its rule, also without a rule."""
    explanation = control.Explanation(
        node="n",
        worker=WORKER,
        ring_id=b"r",
        enabled=Verdict(1),
        other=Verdict(5, FLEET, RULE),
        events={"a.b": Verdict(5, FLEET, RULE), "c": Verdict(7)},
    )
    data = control_codec.encode_explanations([explanation])
    assert control_codec.decode_explanations(data) == [explanation]
    data = control_codec.encode_explain_request("w-*")
    assert control_codec.decode_explain_request(data) == "w-*"


def test_paths() -> None:
    """A method is called under the path that gRPC gives it."""
    path = control.method_path(control.CHANGE_POLICY)
    assert path == "/shmtel.v1.Control/ChangePolicy"


def test_bytes_that_are_no_message() -> None:
    """Bytes that do not parse are the peer's fault."""
    for decode in (
        control_codec.decode_change_request,
        control_codec.decode_change_report,
        control_codec.decode_policy_report,
        control_codec.decode_explain_request,
        control_codec.decode_explanations,
        control_codec.decode_list_workers_response,
    ):
        with pytest.raises(RemoteProtocolError):
            decode(b"\xff")


def test_a_request_without_a_change() -> None:
    """A request that asks for nothing known is the peer's fault."""
    with pytest.raises(RemoteProtocolError, match="without a change"):
        control_codec.decode_change_request(b"")


def test_a_rule_that_does_not_fit() -> None:
    """A value that its field cannot hold is our own fault."""
    rule = Rule(Selector("\udc80"), Sampling(0.5))
    with pytest.raises(LocalProtocolError):
        control_codec.encode_change_request(
            control.ChangeRequest(control.SetRule(rule))
        )
