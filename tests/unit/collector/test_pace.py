"""The interval between passes follows from what they find."""

from shmtel_collector.pace import (
    BUSY_NS,
    LONGEST_NS,
    MILLISECOND_NS,
    SHORTEST_NS,
    Pace,
)

SECOND_NS = 1000 * MILLISECOND_NS


def _settle(events_per_second: float, fill_per_second: float = 0.0) -> int:
    """Feed a steady load for five seconds and return the interval it leads to."""
    now_ns = 0
    pace = Pace(now_ns)
    events = 0.0
    while now_ns < 5 * SECOND_NS:
        interval_ns = pace.interval_ns()
        now_ns += interval_ns
        events += events_per_second * interval_ns / SECOND_NS
        fill = fill_per_second * interval_ns / SECOND_NS
        pace.observe(now_ns, int(events), fill)
        events -= int(events)
    return pace.interval_ns()


def test_begins_in_a_hurry() -> None:
    """A collector that has just started expects load."""
    assert Pace(0).interval_ns() == BUSY_NS


def test_silence_backs_off_within_seconds() -> None:
    """Without events the interval grows to its longest, but not at once."""
    pace = Pace(0)
    pace.observe(BUSY_NS, 0, 0.0)
    assert pace.interval_ns() < 2 * BUSY_NS
    assert _settle(0) == LONGEST_NS


def test_load_is_polled_at_the_busy_interval() -> None:
    """Ten thousand events per second, or a million, are polled each 5 ms."""
    assert _settle(10_000) == BUSY_NS
    assert _settle(1_000_000) == BUSY_NS


def test_a_trickle_costs_a_trickle() -> None:
    """Two hundred events per second are not polled as ten thousand are."""
    assert _settle(200) > 10 * BUSY_NS


def test_fast_ring_shortens_the_interval() -> None:
    """A ring that fills within 10 ms is looked at before a quarter of it is full."""
    assert _settle(1_000_000, fill_per_second=100.0) == 2_500_000


def test_interval_has_a_floor() -> None:
    """No measurement makes the collector spin."""
    assert _settle(1_000_000, fill_per_second=1e6) == SHORTEST_NS


def test_hurry_ends_a_long_wait() -> None:
    """A new ring brings the busy interval back."""
    pace = Pace(0)
    pace.observe(10 * SECOND_NS, 0, 0.0)
    assert pace.interval_ns() == LONGEST_NS
    pace.hurry()
    assert pace.interval_ns() == BUSY_NS
