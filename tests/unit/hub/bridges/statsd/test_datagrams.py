"""Lines put together into datagrams."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shmtel.hub import measures
from shmtel.hub.bridges.statsd.datagrams import datagrams_of
from shmtel.hub.bridges.statsd.teller import Line

KEY = (measures.counter("m", "a"), ())


@given(st.lists(st.text("äx", min_size=1, max_size=60)), st.integers(1, 100))
def test_they_are_full_and_hold_all(texts: list[str], most: int) -> None:
    """All lines in order, none split; no datagram could take the next one's first."""
    lines = [Line(text, KEY, bool) for text in texts]
    datagrams = list(datagrams_of(lines, most))
    assert [line for one in datagrams for line in one.lines] == lines
    for one in datagrams:
        assert one.data.decode() == "\n".join(line.text for line in one.lines)
        assert len(one.data) <= most or len(one.lines) == 1
    for one, other in pairwise(datagrams):
        assert len(one.data) + 1 + len(other.lines[0].data) > most
