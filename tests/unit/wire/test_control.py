"""The messages of the Control service."""

import pytest

from shmtel.wire import control
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.frames import Rule, Sampling
from support.frames import WORKER


def test_requests_and_answers_come_back() -> None:
    """What one end encodes, the other decodes."""
    rule = Rule("w-*", Sampling(0.5, ("a.*",)))
    data = control.encode_set_rule_request(rule)
    assert control.decode_set_rule_request(data) == rule
    answer = control.RuleSet(policy_version=3, collectors=2)
    data = control.encode_set_rule_response(answer)
    assert control.decode_set_rule_response(data) == answer
    status = control.WorkerStatus("node", WORKER, b"r" * 16, 5, {0: 4, 8: 1}, True)
    data = control.encode_list_workers_response([status])
    assert control.decode_list_workers_response(data) == [status]


def test_paths() -> None:
    """A method is called under the path that gRPC gives it."""
    assert control.method_path(control.SET_RULE) == "/shmtel.v1.Control/SetRule"


def test_bytes_that_are_no_message() -> None:
    """Bytes that do not parse are the peer's fault."""
    for decode in (
        control.decode_set_rule_request,
        control.decode_set_rule_response,
        control.decode_list_workers_response,
    ):
        with pytest.raises(RemoteProtocolError):
            decode(b"\xff")


def test_a_rule_that_does_not_fit() -> None:
    """A value that its field cannot hold is our own fault."""
    with pytest.raises(LocalProtocolError):
        control.encode_set_rule_request(Rule("\udc80", Sampling(0.5)))
