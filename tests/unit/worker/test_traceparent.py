"""Correlation IDs as trace IDs, and the header of the W3C recommendation."""

import pytest

from shmtel import traceparent
from shmtel.traceparent import TraceParent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-ff", True),
        (f" \t00-{TRACE}-{PARENT}-03 ", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", True),
        (f"01-{TRACE}-{PARENT}-00-", False),
    ],
)
def test_valid_header(text: str, is_sampled: bool) -> None:
    """Version 00 as it is, later ones by their first four fields."""
    assert traceparent.parse(text) == TraceParent(TRACE, PARENT, is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"0A-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0",
        f"00-{TRACE}-{PARENT}-0g",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01.",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"cc-{TRACE}-{PARENT}-01x",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}x-{PARENT}-01",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE[:-1]}\u0663-{PARENT}-01",
        f"0\u0663-{TRACE}-{PARENT}-01",
        "x" * 100_000,
    ],
)
def test_malformed_header_is_none(text: str) -> None:
    """What the recommendation forbids is as if it were not there."""
    assert traceparent.parse(text) is None


def test_header_round_trips() -> None:
    """What is rendered is read again."""
    for is_sampled in (True, False):
        parent = TraceParent(TRACE, PARENT, is_sampled)
        assert traceparent.parse(traceparent.render(parent)) == parent


@pytest.mark.parametrize(
    ("correlation_id", "trace_id"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), TRACE),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", TRACE),
        ("4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", TRACE),
        (None, None),
        ("", None),
        ("order-4711", None),
        ("0" * 32, None),
        ("00000000-0000-0000-0000-000000000000", None),
        (TRACE[:-1], None),
        (TRACE + "0", None),
        (TRACE[:-1] + "g", None),
        ("{4bf92f35-77b3-4da6-a3ce-929d0e0e4736}", None),
        ("4bf92f357-7b3-4da6-a3ce-929d0e0e4736", None),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e-736", None),
        ("\u0663" * 32, None),
    ],
)
def test_which_ids_are_trace_ids(
    correlation_id: str | None, trace_id: str | None
) -> None:
    """32 hex digits that are not all zero, and UUIDs; nothing else."""
    assert traceparent.trace_id_of(correlation_id) == trace_id


@pytest.mark.parametrize(
    ("correlation_id", "trace_id"),
    [
        ("order-4711", "173d0ddbff034193face7ce60d3f58b4"),
        ("é", "4a99557e4033c3539de2eb65472017ca"),
        (TRACE.upper(), TRACE),
    ],
)
def test_trace_id_on_the_wire_is_published(correlation_id: str, trace_id: str) -> None:
    """Opaque IDs have the head of their SHA-256, so that all services agree."""
    assert traceparent.trace_id_on_the_wire(correlation_id) == trace_id
