"""The budget of a namespace: the oldest of the dead go, and are counted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from shmtel import budget, dead_rings, liveness
from shmtel._ring import Consumer
from shmtel.budget import keep_budget
from shmtel.evictions import Account, Evictions, file_name, read_evictions
from shmtel.segments import Home, segment_name
from support.emitter import Emitter
from support.home import HOME
from support.processes import environment, left_rings, run_python
from support.program import fresh_namespace
from support.ring_builder import RingBuilder
from support.ring_layout import ProducerZone

MakeRing = Callable[..., RingBuilder]
CLOSED = 2  # enum ring_state


@pytest.fixture
def make_dead(make_ring: MakeRing) -> Callable[..., RingBuilder]:
    """Build rings whose workers have left, each younger than the one before."""
    made: list[RingBuilder] = []

    def make(events: int = 3) -> RingBuilder:
        ring = make_ring()
        ring.add_name("e")
        for _ in range(events):
            ring.append()
        ring.poke(ProducerZone, state=CLOSED)
        made.append(ring)
        os.utime(ring.path, ns=(0, len(made)))
        return ring

    return make


def _allow(monkeypatch: pytest.MonkeyPatch, rings: float) -> None:
    """Make the budget so many rings."""
    one = (64 << 10) + 131_072 + 4 * 4096
    size = int(one * rings * budget.SHARE)
    monkeypatch.setattr(Home, "size_bytes", lambda home: size)


def _keep(namespace: str, *own: str) -> list[str]:
    keep_budget(HOME, namespace, lambda name: name in own)
    return sorted(HOME.scan(namespace))


def _evicted(namespace: str) -> int:
    totals = read_evictions(HOME, namespace).get("totals", {})
    return int(totals.get("19", 0))


def test_oldest_dead_rings_beyond_the_budget_go(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What remains is within the budget and the youngest; what went is counted."""
    rings = [make_dead(events) for events in (1, 2, 4, 8)]
    _allow(monkeypatch, 2.5)
    assert _keep(namespace) == sorted(ring.name for ring in rings[2:])
    assert read_evictions(HOME, namespace) == {
        "rings": 2,
        "last_seq": 3,
        "totals": {"19": 3},
        "claims": {
            **{"committed": 3, "sampled_out": 0, "filtered": 0, "disabled": 0},
            "dropped": {},
        },
    }
    assert _keep(namespace) == sorted(ring.name for ring in rings[2:])


def test_within_the_budget_nothing_is_opened(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cheap look is the only one, and leaves no file."""
    rings = [make_dead(), make_dead()]
    _allow(monkeypatch, 2.0)
    monkeypatch.setattr(Home, "open", None)
    assert _keep(namespace) == sorted(ring.name for ring in rings)
    assert not HOME.has(file_name(namespace, os.geteuid()))


def test_file_system_without_a_limit_has_no_budget(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size of 0 means that there is none."""
    ring = make_dead()
    _allow(monkeypatch, 0)
    assert _keep(namespace) == [ring.name]


@pytest.mark.parametrize("has_lock", [True, False])
def test_living_workers_keep_their_rings(
    namespace: str,
    start_worker: Callable[..., Emitter],
    monkeypatch: pytest.MonkeyPatch,
    has_lock: bool,
) -> None:
    """Also one that has lost its lock; when it has died, its ring may go."""
    worker = start_worker(SHMTEL_RING_SIZE="64KiB")
    worker.emit(5)
    name = worker.ring_name()
    if not has_lock:
        worker.command("lose_lock")
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == [name]
    assert _evicted(namespace) == 0
    worker.kill()
    assert _keep(namespace) == []
    assert _evicted(namespace) == 5


def test_collector_keeps_what_it_holds(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring with a consumer is that consumer's business, and no excess of ours."""
    rings = [make_dead(), make_dead()]
    consumer = Consumer(rings[0].open())
    _allow(monkeypatch, 1.5)
    assert _keep(namespace) == sorted(ring.name for ring in rings)
    consumer.close()
    os.utime(rings[0].path, ns=(0, 0))  # the consumer has touched it
    assert _keep(namespace) == [rings[1].name]


def test_own_rings_are_never_opened(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open and close one would drop the lock that proves us alive."""
    mine, other = make_dead(), make_dead()
    opened: list[str] = []
    really_open = Home.open

    def noting(home: Home, name: str, *, writable: bool) -> int:
        opened.append(name)
        return really_open(home, name, writable=writable)

    monkeypatch.setattr(Home, "open", noting)
    _allow(monkeypatch, 0.5)
    assert _keep(namespace, mine.name) == [mine.name]
    assert set(opened) == {other.name}


def test_second_name_of_a_ring_is_never_opened(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be that of our own, which goes by its first name."""
    ring = make_dead()
    second = segment_name(namespace, os.urandom(16))
    os.link(ring.path, HOME.path(second))
    _allow(monkeypatch, 0.5)
    monkeypatch.setattr(Home, "open", None)
    assert _keep(namespace) == sorted([ring.name, second])


def test_other_users_rings_are_left_alone(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They neither count nor go."""
    ring = make_dead()
    _allow(monkeypatch, 0.5)
    stranger = os.geteuid() + 1
    with monkeypatch.context() as patch:
        patch.setattr("shmtel.budget.os.geteuid", lambda: stranger)
        assert _keep(namespace) == [ring.name]
    assert _keep(namespace) == []


@pytest.mark.parametrize(
    ("claimed", "expected"), [(2**64 - 1, 3), (2, 3), (0, 3)], ids=["wild", "late", "0"]
)
def test_records_are_believed_not_counters(
    namespace: str,
    make_dead: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
    claimed: int,
    expected: int,
) -> None:
    """Whatever a worker claims, its records say how much was in there."""
    ring = make_dead(3)
    ring.poke(ProducerZone, committed=claimed)
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == []
    assert _evicted(namespace) == expected


@pytest.mark.parametrize(("claimed", "expected"), [(4, 4), (2**64 - 1, 5), (0, 3)])
def test_behind_damage_a_claim_counts_as_far_as_its_bytes_go(
    namespace: str,
    make_dead: MakeRing,
    monkeypatch: pytest.MonkeyPatch,
    claimed: int,
    expected: int,
) -> None:
    """Three good records, then 96 bytes that cannot hold more than two events."""
    ring = make_dead(3)
    assert ring.tail == 3 * 40
    ring.write_data(ring.tail, b"\xff" * 96)
    ring.poke(ProducerZone, tail=ring.tail + 96, committed=claimed)
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == []
    assert _evicted(namespace) == expected


def test_settled_events_are_not_evicted(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a collector has settled stays what it was; only the rest is lost."""
    ring = make_dead(5)
    consumer = Consumer(ring.open())
    drained = consumer.drain(1 << 20)
    assert drained is not None
    consumer.settle(2 * 40, 2, [1, 1] + [0] * 30)
    consumer.close()
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == []
    account = read_evictions(HOME, namespace)
    assert account["totals"] == {"0": 1, "1": 1, "19": 3}
    assert account["last_seq"] == 5


def test_what_a_collector_has_drained_is_left_to_the_next(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it removed the ring, it may have written the ring down already."""
    ring = make_dead(5)
    consumer = Consumer(ring.open())
    consumer.set_heartbeat(1, 1)
    drained = consumer.drain(1 << 20)
    assert drained is not None
    consumer.settle(drained.position, 5, [5] + [0] * 31)
    consumer.close()
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == [ring.name]
    assert read_evictions(HOME, namespace) == {}


def test_unfinished_segment_goes_after_a_minute(
    namespace: str, make_ring: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before that it may be a ring in the making; it holds no event."""
    ring = make_ring(publish=False)
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == [ring.name]
    monkeypatch.setattr(liveness, "ABANDONED_SECONDS", -1.0)
    assert _keep(namespace) == []
    assert read_evictions(HOME, namespace) == {"rings": 1}


def test_one_evictor_at_a_time(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds another at it goes on, and has not even opened a ring."""
    ring = make_dead()
    _allow(monkeypatch, 0.5)
    other = Evictions.open(HOME, namespace)
    assert other is not None
    with monkeypatch.context() as patch:
        patch.setattr(Home, "open", None)
        assert _keep(namespace) == [ring.name]
    other.close()
    assert _keep(namespace) == []


@pytest.mark.parametrize("limit", ["_ASKING_S", "_EVICTING_S"])
def test_start_does_its_part_and_no_more(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """In no time the oldest ring goes, and with each further start the next one."""
    rings = [make_dead(3) for _ in range(4)]
    _allow(monkeypatch, 0.5)
    monkeypatch.setattr(dead_rings, limit, 0.0)
    for gone in (1, 2, 3, 4):
        assert _keep(namespace) == sorted(ring.name for ring in rings[gone:])
    assert _evicted(namespace) == 4 * 3


def test_failure_costs_no_ring() -> None:
    """Where the account is damaged a worker warns once, and has its ring."""
    code = """
import os, shmtel
from shmtel import ring, segments
segments.Home.size_bytes = lambda home: 4
home = ring.home_in_force()
path = home.path(f"shmtel.{os.environ['SHMTEL_NAMESPACE']}.evicted.{os.geteuid()}")
with open(path, "wb") as file: file.write(b"garbage" * 4096)
for _ in range(3):
    if os.fork() == 0:
        shmtel.emit("e", {})
        os._exit(shmtel.stats()["committed"] - 1)
    assert os.wait()[1] == 0
shmtel.emit("e", {})
assert shmtel.stats()["committed"] == 1
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace)
        assert len(HOME.scan(namespace)) == 4
    assert "shmtel collector" in done.stderr


def test_workers_that_start_at_once_neither_lose_nor_double() -> None:
    """Families of workers evict one another's rings; every event is somewhere."""
    code = """
import json, os, shmtel
from shmtel import budget, segments
ring_bytes = (64 << 10) + 131_072 + 4 * 4096
segments.Home.size_bytes = lambda home: 3 * ring_bytes * budget.SHARE
for _ in range(15):
    if os.fork() == 0:
        for number in range(7): shmtel.emit("e", {})
        os._exit(0)
    os.wait()
"""
    with fresh_namespace() as namespace:
        families = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                cwd="/",
                env=environment(namespace, SHMTEL_RING_SIZE="64KiB"),
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for family in families:
            assert family.communicate(timeout=60)[1] == ""
            assert family.returncode == 0
        left = sum(len(ring.events) for ring in left_rings(namespace))
        evicted = _evicted(namespace)
    assert left + evicted == 4 * 15 * 7
    assert left > 0 < evicted


def test_account_is_plain_json(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims beyond any integer of a database are kept as they are, and added up."""
    for _ in range(2):
        make_dead().poke(ProducerZone, sampled_out=2**64 - 1)
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == []
    account = json.loads(json.dumps(read_evictions(HOME, namespace)))
    assert account["claims"]["sampled_out"] == 2 * (2**64 - 1)


def test_consumer_that_comes_late_keeps_its_ring(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector that attached after the first look is seen at the second."""
    ring = make_dead()
    consumer = Consumer(ring.open())
    _allow(monkeypatch, 0.5)
    monkeypatch.setattr("shmtel.dead_rings._is_loose", lambda home, ring: True)
    assert _keep(namespace) == [ring.name]
    consumer.close()
    assert _keep(namespace) == []


def test_ring_that_goes_meanwhile_is_no_failure(
    namespace: str, make_dead: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removes it first, the others still go, and it is counted by nobody."""
    rings = [make_dead(1), make_dead(2)]
    really_evict = Evictions.evict

    def lose(log: Evictions, name: str, account: Account) -> None:
        if name == rings[0].name:
            HOME.unlink(name)
        really_evict(log, name, account)

    monkeypatch.setattr(Evictions, "evict", lose)
    _allow(monkeypatch, 0.5)
    assert _keep(namespace) == []
    assert _evicted(namespace) == 2


def test_segment_is_its_makers_own_from_before_it_is_there() -> None:
    """Other threads take neither a ring nor one in the making for a stranger's."""
    code = """
import shmtel
from shmtel import _ring, ring, segments
seen = []
def noting(owner, method):
    really = getattr(owner, method)
    def note(*arguments, **keywords):
        seen.append([ring._is_own(name) for name in names])
        result = really(*arguments, **keywords)
        seen.append([ring._is_own(name) for name in names])
        return result
    setattr(owner, method, note)
names = []
really_name = segments.segment_name
def segment_name(*arguments):
    names.append(really_name(*arguments))
    return names[-1]
segments.segment_name = segment_name
noting(segments.Home, "create")
noting(_ring, "adopt")
shmtel.emit("e", {})
assert seen == [[True]] * 4, seen
assert ring._is_own(names[0]) and not ring._in_making
assert not ring._is_own(really_name("other", bytes(16)))
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
