"""The state machine of the uplink can fail: answers out of order are found."""

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shmtel.wire.hub_role import HubProtocol
from shmtel.wire.unacked import Unacked
from support.uplink_machine import UplinkMachine

SETTINGS = settings(
    max_examples=400,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=False,
    phases=[Phase.generate],
)


def release_at_once(self: Any) -> None:
    """Send resume points that tell what is not durable yet."""
    while self._held:
        self._outgoing.append(self._held.popleft()[1])


def acknowledge_first(self: Any, batch_seq: int, now_ns: int) -> None:
    """Let an ack pass the resume point of its own batch."""
    self._credit.answered(batch_seq, now_ns)
    self._send_ack(batch_seq)
    self._release_held()


def keep(self: Any, ring: int) -> None:
    """Take nothing out of the batches that a resume point has made void."""


BROKEN = [
    (HubProtocol, "_release_held", release_at_once),
    (HubProtocol, "acknowledge", acknowledge_first),
    (Unacked, "void", keep),
]


@pytest.mark.parametrize(("role", "name", "broken"), BROKEN)
def test_a_broken_role_is_found(
    role: type, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are released that the hub does not have, or are not what they count as."""
    monkeypatch.setattr(role, name, broken)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(UplinkMachine, settings=SETTINGS)
