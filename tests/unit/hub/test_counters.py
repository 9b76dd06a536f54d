"""The hub's counters of itself."""

from shmtel.hub.counters import Counters, HubStats


def test_counters_add_up() -> None:
    """A snapshot holds what was added, and the gauges given to it."""
    counters = Counters()
    counters.add(batches=1, delivered=5)
    counters.add(batches=1)
    assert counters.snapshot(streams=3) == HubStats(streams=3, batches=2, delivered=5)
