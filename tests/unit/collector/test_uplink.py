"""How long the uplink waits before it dials again."""

from shmtel_collector.uplink import FIRST_CAP_SECONDS, LAST_CAP_SECONDS, Backoff


def _caps(backoff: Backoff, attempts: int) -> list[float]:
    return [backoff.next_delay() for _ in range(attempts)]


def test_delays_are_drawn_from_the_whole_range() -> None:
    """Full jitter: from nothing to the cap, so that hosts do not come in step."""
    ranges = []

    def draw(low: float, high: float) -> float:
        ranges.append((low, high))
        return low

    Backoff(draw).next_delay()
    assert ranges == [(0.0, FIRST_CAP_SECONDS)]


def test_cap_doubles_up_to_its_limit() -> None:
    """Each failure doubles the range, to five seconds at most."""
    caps = _caps(Backoff(lambda low, high: high), 10)
    assert caps[:4] == [0.1, 0.2, 0.4, 0.8]
    assert caps[-1] == LAST_CAP_SECONDS


def test_acknowledgement_resets_it() -> None:
    """A hub that has proven itself is dialled again quickly."""
    backoff = Backoff(lambda low, high: high)
    _caps(backoff, 5)
    backoff.reset()
    assert backoff.next_delay() == FIRST_CAP_SECONDS


def test_no_common_version_is_no_reason_to_hurry() -> None:
    """The next attempt is drawn from the largest range at once, and then again."""
    backoff = Backoff(lambda low, high: high)
    backoff.slow_down()
    assert _caps(backoff, 2) == [LAST_CAP_SECONDS] * 2
