"""What `shmtel stat` makes of two looks at the rings."""

from typing import Any

from shmtel.cli.observing import RingStat
from shmtel.cli.stat_table import GONE, Look, Rates, rows_of, table


def _ring(ring_id: str = "r1", **changed: Any) -> RingStat:
    values: dict[str, Any] = {
        "worker_id": f"worker-{ring_id}",
        "pool_name": "pool",
        "service": "",
        "pid": 7,
        "ring_id": ring_id,
        "state": "alive",
        "committed": 100,
        "committed_bytes": 10_240,
        "dropped": {"ring_full": 10},
        "sampled_out": 1,
        "filtered": 2,
        "disabled": 3,
        "used_bytes": 25,
        "capacity_bytes": 100,
        "high_water_bytes": 50,
    }
    return RingStat(**{**values, **changed})


def _look(moment_s: float, *rings: RingStat) -> Look:
    return Look(moment_s, {ring.ring_id: ring for ring in rings})


def test_the_first_look_has_no_rates() -> None:
    """What happened before it is not known; there is no column for it."""
    rows = rows_of(None, _look(5.0, _ring()))
    assert [row.rates for row in rows] == [None]
    header, line, drops = table(rows)
    assert header.split()[-2:] == ["HIGH", "WATER"]
    numbers = ["100", "10", "1", "2", "3", "25%", "50%"]
    assert line.split() == ["worker-r1", "7", "alive", *numbers]
    assert drops == "dropped by worker-r1: ring_full 10"


def test_rates_are_per_second() -> None:
    """What was added, divided by the time between both looks."""
    later = _ring(committed=150, committed_bytes=20_480, dropped={"ring_full": 40})
    rows = rows_of(_look(5.0, _ring()), _look(7.0, later))
    assert rows[0].rates == Rates(25.0, 15.0, 5_120.0)
    assert rows[0].to_json()["per_second"] == {
        "committed": 25.0,
        "dropped": 15.0,
        "committed_bytes": 5_120.0,
    }
    header, line = table(rows)[:2]
    assert header.split()[-3:] == ["COMMITTED/S", "DROPPED/S", "KIB/S"]
    assert line.split()[-3:] == ["25", "15", "5.0"]


def test_a_new_ring_has_no_rates_yet() -> None:
    """Beside one that has, its columns say so."""
    rows = rows_of(_look(5.0, _ring()), _look(6.0, _ring(), _ring("r2")))
    assert rows[1].rates is None
    assert table(rows)[2].split()[-3:] == ["-", "-", "-"]


def test_a_ring_that_goes_is_shown_once_more() -> None:
    """With its last counters; after that it is no more there."""
    first, second = _look(5.0, _ring(), _ring("r2")), _look(6.0, _ring())
    gone = [row.ring for row in rows_of(first, second) if row.ring.state == GONE]
    assert [ring.ring_id for ring in gone] == ["r2"]
    assert all(row.ring.state != GONE for row in rows_of(second, _look(7.0, _ring())))


def test_several_rings_have_a_sum() -> None:
    """Counts and rates add up; shares do not."""
    before = _look(5.0, _ring(), _ring("r2"))
    after = _look(6.0, _ring(committed=110), _ring("r2", committed=105))
    line = table(rows_of(before, after))[3]
    assert line.split() == ["all", "215", "20", "2", "4", "6", "15", "0", "0.0"]


def test_counters_that_go_back_are_no_rate() -> None:
    """A hostile worker's numbers make no negative rates."""
    rows = rows_of(_look(5.0, _ring()), _look(6.0, _ring(committed=0, dropped={})))
    assert rows[0].rates == Rates(0.0, 0.0, 0.0)


def test_a_clock_that_stands_divides_nothing() -> None:
    """Two looks at one moment have no rate between them."""
    assert rows_of(_look(5.0, _ring()), _look(5.0, _ring()))[0].rates is None


def test_no_worker_steers_the_terminal() -> None:
    """Names are the workers' own words."""
    lines = table(rows_of(None, _look(1.0, _ring(worker_id="w\x1b[2J\n"))))
    assert all(line.isprintable() for line in lines)
