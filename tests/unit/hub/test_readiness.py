"""What speaks against a hub, in words."""

from dataclasses import replace

import pytest

from shmtel.hub.readiness import LIMIT_S, Readiness

WELL = Readiness(is_serving=True)


def test_a_hub_that_is_well_is_ready() -> None:
    """So is one whose work takes its time."""
    busy = replace(WELL, unanswered_s=LIMIT_S, handler_id="h", handler_s=LIMIT_S)
    for readiness in (WELL, busy):
        assert readiness.is_ready
        assert readiness.reasons == []


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Readiness(is_serving=False), "the hub does not serve"),
        (replace(WELL, failure="disk full"), "the hub has failed: disk full"),
        (replace(WELL, commit_failure="why"), "nothing is acknowledged: why"),
        (
            replace(WELL, handler_id="h", handler_s=6.04),
            "handler 'h' is at work for 6.0 s",
        ),
        (
            replace(WELL, unanswered_s=7.0, unanswered_node="n"),
            "a batch of n is without its ack for 7.0 s",
        ),
    ],
)
def test_each_reason_is_told(found: Readiness, reason: str) -> None:
    """One of them is enough."""
    assert not found.is_ready
    assert found.reasons == [reason]
