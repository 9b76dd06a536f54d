"""Which segments may go: what one look cannot see, and what happens after it."""

import fcntl
import os
import signal
from collections.abc import Callable

import pytest

from shmtel import _ring
from shmtel.cli import removable
from shmtel.cli.removable import KEPT, REMOVABLE, WHY, Finding, Inspection
from shmtel.evictions import Evictions
from shmtel.procfs import this_host
from support.home import HOME
from support.ring_builder import RingBuilder
from support.ring_layout import ControlZone, ProducerZone

MakeRing = Callable[..., RingBuilder]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removable, "_SECOND_LOOK_S", 0.0)
    monkeypatch.setattr(removable, "_PATIENCE_S", 0.05)


@pytest.fixture
def inspection(namespace: str) -> Inspection:
    """A look at the namespace, with nothing on a collector's books."""
    return Inspection(HOME, namespace, this_host(), ())


def _closed(make_ring: MakeRing, events: int = 0) -> RingBuilder:
    ring = make_ring()
    ring.add_name("e")
    for _ in range(events):
        ring.append()
    ring.poke(ProducerZone, state=2)
    return ring


def _remove(inspection: Inspection, *, is_forced: bool = False) -> Finding:
    (finding,) = inspection.remove(list(inspection.findings()), is_forced=is_forced)
    return finding


def test_every_reason_is_told() -> None:
    """A reason is either of the ones or of the others, and has its words."""
    assert not REMOVABLE.keys() & KEPT.keys()
    assert all(WHY.values())


def test_abandoned_segment_goes(
    inspection: Inspection, make_ring: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody came to finish goes without an account, for it never was a ring."""
    ring = make_ring(publish=False)
    assert _remove(inspection).reason == "in_making"
    monkeypatch.setattr(removable, "is_abandoned", lambda fd, now_seconds: True)
    assert _remove(inspection).is_removed
    assert not HOME.has(ring.name)


def test_segment_that_is_finished_after_all_stays(
    inspection: Inspection, make_ring: MakeRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only old by a clock that jumped: at the second look it is a ring."""
    ring = _closed(make_ring, events=2)
    stale = Finding(ring.name, "abandoned")
    (finding,) = inspection.remove([stale], is_forced=False)
    assert (finding.reason, finding.undrained) == ("undrained", 2)
    assert HOME.has(ring.name)


def test_collector_that_comes_in_between_keeps_it(
    inspection: Inspection, make_ring: MakeRing
) -> None:
    """Whoever holds a ring when it is to be removed has it."""
    ring = _closed(make_ring)
    findings = list(inspection.findings())
    assert [finding.reason for finding in findings] == ["drained"]
    consumer = _ring.Consumer(ring.open())
    (finding,) = inspection.remove(findings, is_forced=True)
    assert (finding.reason, finding.is_removed) == ("held", False)
    consumer.close()
    (finding,) = inspection.remove(findings, is_forced=True)
    assert finding.is_removed


def test_event_that_comes_in_between_keeps_it(
    inspection: Inspection, make_ring: MakeRing
) -> None:
    """It is judged again under the lock, and what is in it is not lost."""
    ring = _closed(make_ring)
    findings = list(inspection.findings())
    ring.append()
    (finding,) = inspection.remove(findings, is_forced=False)
    assert (finding.reason, finding.is_removed) == ("undrained", False)


def test_what_is_in_a_spool_stays(inspection: Inspection, make_ring: MakeRing) -> None:
    """What a collector has released and the hub has not acknowledged is not gone."""
    ring = _closed(make_ring, events=4)
    ring.poke_slot(1, head=ring.tail, head_seq=4, settled_seq=0)
    ring.poke(ControlZone, active_slot=1, head=ring.tail)
    finding = _remove(inspection, is_forced=True)
    assert (finding.reason, finding.is_removed) == ("spooled", False)


def test_ring_on_the_books_goes_uncounted(namespace: str, make_ring: MakeRing) -> None:
    """Its account is in the collector's state: it is unlinked, and nothing is added."""
    rings = [_closed(make_ring), _closed(make_ring, events=4)]
    counted = {ring.ring_id for ring in rings}
    inspection = Inspection(HOME, namespace, this_host(), counted)
    findings = list(inspection.findings())
    reasons = {finding.segment: finding.reason for finding in findings}
    # Removed undrained, and killed before the removal: a collector would deliver it.
    assert reasons == {rings[0].name: "written_down", rings[1].name: "undrained"}
    assert all(f.is_removed for f in inspection.remove(findings, is_forced=True))
    assert not HOME.has(f"shmtel.{namespace}.evicted.{os.geteuid()}")


def test_account_in_use_is_a_failure(
    inspection: Inspection, namespace: str, make_ring: MakeRing
) -> None:
    """Without a place for its account no ring goes, and it is said why."""
    ring = _closed(make_ring)
    findings = list(inspection.findings())
    evictions = Evictions.open(HOME, namespace)
    assert evictions is not None
    (finding,) = inspection.remove(findings, is_forced=False)
    evictions.close()
    assert not finding.is_removed
    assert "somebody else is evicting" in finding.failure
    assert HOME.has(ring.name)


def test_lock_of_a_worker_is_enough(
    inspection: Inspection, make_ring: MakeRing
) -> None:
    """Whatever the ring says of itself, a holder is alive."""
    ring = _closed(make_ring)
    pid = os.fork()
    if pid == 0:
        fcntl.lockf(ring.fd, fcntl.LOCK_EX, 1, 0)
        while True:
            signal.pause()
    try:
        while _ring.lock_holder(ring.fd) is None:
            os.sched_yield()
        assert _remove(inspection, is_forced=True).reason == "alive"
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
