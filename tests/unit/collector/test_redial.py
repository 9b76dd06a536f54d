"""How long the collector waits before it dials its hub again."""

import heapq
from collections import Counter
from math import ceil
from random import Random

import pytest

from shmtel_collector.redial import (
    DEVIATION,
    FIRST_CAP_SECONDS,
    LAST_CAP_SECONDS,
    PERIOD_SECONDS,
    Afar,
    Nearby,
    redial_of,
)

HOSTS = 500


def _highest(low: float, high: float) -> float:
    return high


class _Noted:
    """Draws the least, and remembers the ranges."""

    def __init__(self) -> None:
        self.ranges: list[tuple[float, float]] = []

    def __call__(self, low: float, high: float) -> float:
        self.ranges.append((low, high))
        return low


def test_near_delays_are_drawn_from_the_whole_range() -> None:
    """Full jitter: from nothing to the cap, so that collectors do not come in step."""
    draw = _Noted()
    Nearby(draw).next_delay()
    assert draw.ranges == [(0.0, FIRST_CAP_SECONDS)]


def test_near_cap_doubles_up_to_its_limit() -> None:
    """Each failure doubles the range, to two seconds at most."""
    near = Nearby(_highest)
    caps = [near.next_delay() for _ in range(10)]
    assert caps[:4] == [0.1, 0.2, 0.4, 0.8]
    assert caps[-1] == LAST_CAP_SECONDS


def test_only_an_acknowledgement_resets_the_near_cap() -> None:
    """A hub that dies after each handshake is not hammered; one that works is found."""
    near = Nearby(_highest)
    for _ in range(10):
        near.next_delay()
        near.welcomed()
    assert near.next_delay() == LAST_CAP_SECONDS
    near.proven()
    assert near.next_delay() == FIRST_CAP_SECONDS


def test_no_common_version_is_no_reason_to_hurry() -> None:
    """The next attempt is drawn from the largest range at once, and then again."""
    near = Nearby(_highest)
    near.slow_down()
    assert [near.next_delay() for _ in range(2)] == [LAST_CAP_SECONDS] * 2


def test_a_loss_afar_is_spread_over_a_period() -> None:
    """The first try is anywhere in a period, each further one about a period later."""
    draw = _Noted()
    far = Afar(draw)
    far.next_delay()
    far.next_delay()
    far.welcomed()
    far.next_delay()
    once, again = (0.0, PERIOD_SECONDS), (1.0 - DEVIATION, 1.0 + DEVIATION)
    assert draw.ranges == [once, again, once]


def test_a_hub_afar_that_dies_in_handshake_is_not_hammered() -> None:
    """Neither refusals nor welcomes that prove nothing make a host come often."""
    draws = Random(7)
    far = Afar(draws.uniform)
    waited = 0.0
    for attempt in range(200):
        waited += far.next_delay()
        if attempt % 2:
            far.welcomed()
    assert waited / 200 > PERIOD_SECONDS / 2


@pytest.mark.parametrize("outage", range(1, 31))
def test_a_fleet_comes_back_evenly(outage: int) -> None:
    """Of 500 hosts no second sees twice the mean of attempts, however long it takes."""
    for seed in range(20):
        moments = _moments(outage, Random(f"{outage} {seed}"))
        per_second = Counter(map(int, moments))
        mean = len(moments) / ceil(max(moments))
        assert max(per_second.values()) <= 2 * mean, (seed, sorted(per_second.items()))
        assert max(moments) <= outage + PERIOD_SECONDS * (1 + DEVIATION)


def _moments(outage: float, draws: Random) -> list[float]:
    """Have 500 hosts lose their hub at 0 and find it again; return all attempts."""
    hosts = [Afar(draws.uniform) for _ in range(HOSTS)]
    for host in hosts:
        host.next_delay()  # its hub was not there yet when it started
        host.welcomed()
    waiting = [(host.next_delay(), number) for number, host in enumerate(hosts)]
    heapq.heapify(waiting)
    moments = []
    while waiting:
        now, number = heapq.heappop(waiting)
        moments.append(now)
        if now < outage:
            heapq.heappush(waiting, (now + hosts[number].next_delay(), number))
        else:
            hosts[number].welcomed()
    return moments


@pytest.mark.parametrize(
    "address",
    [
        "unix:/run/hub.sock",
        "unix:///run/hub.sock",
        "unix-abstract:hub",
        "localhost:4737",
        "127.0.0.1:4737",
        "127.1.2.3:4737",
        "[::1]:4737",
        "ipv4:127.0.0.1:4737",
        "dns:///localhost:4737",
    ],
)
def test_a_hub_on_this_host_is_near(address: str) -> None:
    """A socket, or the loopback interface, in whatever way it is written."""
    assert isinstance(redial_of(address), Nearby)


@pytest.mark.parametrize(
    "address",
    ["hub.example:4737", "10.0.0.1:4737", "[2001:db8::1]:4737", "dns:///hub:1", "hub"],
)
def test_any_other_hub_is_afar(address: str) -> None:
    """What is not known to be here may have hundreds of hosts."""
    assert isinstance(redial_of(address), Afar)
