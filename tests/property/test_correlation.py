"""What arrives may be anything: nothing raises, and what goes out is sound."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import shmtel
from shmtel import traceparent

HEX = "0123456789abcdef"
NAMES = [
    "traceparent",
    b"Traceparent",
    "x-correlation-id",
    "tracestate",
    "x-request-id",
]

parents = st.builds(
    "{}-{}-{}-{}{}".format,
    st.text(HEX, min_size=2, max_size=2),
    st.text(HEX, min_size=32, max_size=32),
    st.text(HEX, min_size=16, max_size=16),
    st.text(HEX, min_size=2, max_size=2),
    st.sampled_from(["", "", "-", "-more", " ", "0"]),
)
texts = st.text() | st.text("a-\r\n\t\0 \x7f\u2028é", max_size=20) | parents
values = (
    texts | st.binary(max_size=20) | parents.map(str.encode) | st.none() | st.floats()
)
names = st.sampled_from(NAMES) | values
headers = st.lists(st.tuples(names, values), max_size=6) | st.lists(values) | values


def assert_sound(pairs: list[tuple[str, Any]]) -> None:
    """Check that pairs can be sent: one line each, and a valid traceparent."""
    for name, value in pairs:
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
        if name == "traceparent":
            assert traceparent.parse(value)
    assert len({name for name, _ in pairs}) == len(pairs)


@given(values, values, headers)
def test_whatever_arrives(correlation_id: Any, parent: Any, arrived: Any) -> None:
    """An ID is in force that events can carry, and headers cannot be injected."""
    block = shmtel.correlation(correlation_id, traceparent=parent, headers=arrived)
    with block as found:
        assert found.isprintable()
        assert 0 < len(found.encode()) <= 128
        outgoing = shmtel.outgoing_metadata()
        assert_sound(outgoing)
        with shmtel.correlation(headers=outgoing) as next_one:
            is_same = found.isascii() and found == found.strip()
            assert not is_same or next_one == found


@given(values)
def test_whatever_is_set(correlation_id: Any) -> None:
    """What is no ID for a header does not get into one."""
    token = shmtel.set_correlation_id(correlation_id)
    try:
        assert_sound(shmtel.outgoing_metadata())
        shmtel.trace_id_of(shmtel.get_correlation_id())
    finally:
        shmtel.reset_correlation_id(token)


@given(texts)
def test_whatever_a_traceparent_is(text: str) -> None:
    """It is malformed, or what it says can be said again."""
    parsed = traceparent.parse(text)
    if parsed is not None:
        assert traceparent.parse(traceparent.render(parsed)) == parsed
