"""What `shmtel hub` shows, from two looks at it."""

from dataclasses import replace

import pytest

from shmtel.accounting.accounts import Account
from shmtel.cli.hub_table import HostLook, HubLook, hub_line, hub_table, is_news
from shmtel.hub.counters import HubStats
from shmtel.hub.insight import HandlerState

ACCOUNT = Account(
    committed=1_000,
    dropped={"ring_full": 12, "too_large": 0},
    sampled_out=40,
    delivered=950,
    sampled_out_by_collector=2,
    lost={"evicted": 4},
    in_flight=30,
    in_ring=14,
)
IDLE = HubLook(10.0, "127.0.0.1:4737", HubStats(streams=1))
HOSTS = (
    HostLook("node-2", None, 0.0, Account(delivered=100, committed=100)),
    HostLook("node-1", 7_265.0, 0.25, ACCOUNT),
)
BUSY = HubLook(
    *(12.0, "127.0.0.1:4737", HubStats(streams=1, delivered=500), ACCOUNT, HOSTS, 3),
    events={"tool.call.stop": 100, "python.gc.completed": 400, "": 0},
    unread=5,
    handlers=(
        HandlerState("jsonl", ("*",), True, 7, 0),
        HandlerState("alarms", ("*",), False, None, 3),
    ),
)

SHOWN = """\
hub on 127.0.0.1:4737, ready: 1 host connected, 1 away, 3 live rings

delivered 950 (250/s)   on the way 44   sampled_out 42   filtered 0   disabled 0
unaccounted 0
dropped 12: ring_full 12
lost 4: evicted 4

HOST    CONNECTED  OLDEST ACK  DELIVERED  DROPPED  LOST  ON THE WAY
node-1  2h 1m           0.2 s        950       12     4          44
node-2  no                  -        100        0     0           0

EVENT                DELIVERED  DELIVERED/S
python.gc.completed        400          200
tool.call.stop             100           50
(wanted by nobody)           5            2

HANDLER  WAITING  MISSED
jsonl          7       0
alarms         -       3
"""


def test_the_table() -> None:
    """Hosts by name, those that are away last; events by rate; reasons below sums."""
    assert "\n".join(hub_table(IDLE, BUSY, 90)) + "\n" == SHOWN


def test_a_hub_without_a_past() -> None:
    """Nothing is known of rates, and parts without rows are not there."""
    assert hub_table(None, IDLE, 90) == [
        "hub on 127.0.0.1:4737, ready: 0 hosts connected, 0 live rings",
        "",
        "delivered 0   on the way 0   sampled_out 0   filtered 0   disabled 0"
        "   unaccounted 0",
    ]


def test_what_is_wrong_stands_first() -> None:
    """Why the hub is not ready, and what it has counted that should not be."""
    stats = HubStats(violations=2, handler_failures=1, missed=9)
    look = replace(IDLE, stats=stats, reasons=["nothing is acknowledged: disk full"])
    assert hub_table(None, look, 90)[:6] == [
        "hub on 127.0.0.1:4737, not ready: 0 hosts connected, 0 live rings",
        "nothing is acknowledged: disk full",
        "handlers that have raised: 1",
        "events that handlers have missed: 9",
        "streams ended for what they sent: 2",
        "",
    ]


def test_what_is_too_many_is_a_number() -> None:
    """Of each part so many rows are shown."""
    events = {f"{number:02}": 1 for number in range(13)}
    lines = hub_table(None, replace(IDLE, events=events), 90)
    assert lines[-1] == "... and 3 more"
    assert len(lines) == 4 + 1 + 10 + 1


@pytest.mark.parametrize("columns", [20, 30, 45, 60, 80, 200])
def test_a_narrow_terminal(columns: int) -> None:
    """Columns go from the right, then long names are cut, and names stay."""
    long = replace(HOSTS[1], node="node-1" + "x" * 60)
    look = replace(BUSY, hosts=[long], events={"tool." + "y" * 60: 1})
    lines = hub_table(IDLE, look, columns)
    rows = [line for line in lines if line.startswith(("node-1x", "tool.y"))]
    assert len(rows) == 2
    assert all(len(row) < columns for row in rows)
    assert all(("…" in row) == (columns < 100) for row in rows)
    header = next(line for line in lines if line.startswith("HOST"))
    assert ("ON THE WAY" in header) == (columns >= 80)
    assert columns < 30 or "CONNECTED" in header


def test_nobody_steers_the_terminal() -> None:
    """Names of hosts, events and handlers are the words of others."""
    nasty = "n\x1b[2J\n"
    look = replace(
        BUSY, hosts=(replace(HOSTS[1], node=nasty),), events={nasty: 1}, reasons=[nasty]
    )
    assert all(line.isprintable() for line in hub_table(None, look, 90))
    assert hub_line(None, look).isprintable()


def test_the_line() -> None:
    """What is nothing is not said."""
    assert hub_line(None, IDLE) == "0 hosts connected; 0 events delivered"
    assert hub_line(
        IDLE, replace(BUSY, stats=HubStats(delivered=500, violations=1))
    ) == (
        "1 host connected, 1 away; 950 events delivered (250/s); 44 on the way; "
        "dropped 12 (ring_full 12); lost 4 (evicted 4); oldest ack due for 0.2 s; "
        "jsonl has 7 segments waiting; streams ended for what they sent: 1"
    )


def test_clocks_that_stand_still() -> None:
    """Two looks at one moment have no rate, and no division by zero."""
    assert "(0/s)" in hub_line(replace(IDLE, monotonic_s=12.0), BUSY)


def test_what_is_news() -> None:
    """Events, drops, hosts and troubles are; time that goes by, and acks, are not."""
    assert is_news(None, IDLE)
    later = replace(
        BUSY,
        monotonic_s=99.0,
        stats=replace(BUSY.stats, commits=7),
        hosts=[replace(host, unanswered_s=0.1) for host in HOSTS],
    )
    assert not is_news(BUSY, later)
    for change in (
        replace(BUSY, stats=replace(BUSY.stats, delivered=501)),
        replace(BUSY, stats=replace(BUSY.stats, violations=1)),
        replace(BUSY, total=replace(ACCOUNT, sampled_out=41)),
        replace(BUSY, hosts=HOSTS[1:]),
        replace(BUSY, hosts=[replace(host, connected_s=None) for host in HOSTS]),
        replace(BUSY, reasons=["disk full"]),
    ):
        assert is_news(BUSY, change)
