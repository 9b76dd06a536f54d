"""A real hub and several streams of one host: who may speak."""

from shmtel.hub import Hub
from shmtel.wire.collector_events import Ended, Resumed
from shmtel.wire.frames import ErrorCode
from support.hubs import WAIT_S, Seqs, running_hub
from support.uplink import (
    WORKER,
    ScriptedCollector,
    connected,
    make_hello,
    make_segment,
)

RING = b"r" * 16


def ended_with(collector: ScriptedCollector) -> int:
    """Wait for the end of a stream and return its code."""
    collector.wait_over()
    return collector.of(Ended)[0].error.code


def announce(collector: ScriptedCollector) -> None:
    """Open the ring without waiting for the answer."""
    collector.protocol.open_ring(RING, WORKER, 0, {})
    collector.protocol.add_names(1, 0, ["a.b"])
    collector.flush()


def hold_up(hub: Hub, collector: ScriptedCollector, seen: Seqs) -> None:
    """Have the stream of a collector work on a batch until it may go on."""
    hub.attach_batch("seen", "*", seen)
    collector.open(RING)
    seen.hold()
    collector.send(make_segment(0, 3))
    assert seen.entered.wait(WAIT_S)


def test_a_newer_stream_fences_an_idle_one() -> None:
    """The older stream is told at once that it was superseded."""
    with (
        running_hub() as hub,
        connected(hub.address, make_hello(epoch=1)) as old,
        connected(hub.address, make_hello(epoch=2)) as new,
    ):
        assert ended_with(old) == ErrorCode.SUPERSEDED
        new.open(RING)
        assert hub.stats().streams == 1


def test_a_ring_is_advanced_by_one_stream_at_a_time() -> None:
    """The new stream gets its resume point when the old one has finished."""
    seen = Seqs()
    with running_hub() as hub, connected(hub.address, make_hello(epoch=1)) as old:
        hold_up(hub, old, seen)
        with (
            connected(hub.address, make_hello(epoch=2)) as middle,
            connected(hub.address, make_hello(epoch=3)) as new,
        ):
            announce(new)
            assert ended_with(middle) == ErrorCode.SUPERSEDED
            assert new.of(Resumed) == []
            seen.may_go_on.set()
            new.wait_for(lambda: bool(new.of(Resumed)))
            assert new.of(Resumed) == [Resumed(1, 3, {0: 3})]
            assert ended_with(old) == ErrorCode.SUPERSEDED
            new.wait_acked(new.send(make_segment(3, 4)))
    assert seen.seqs == [1, 2, 3, 4]


def test_what_was_in_work_when_the_connection_broke_counts() -> None:
    """The batch of a stream that was cut is finished before the next resumes."""
    seen = Seqs()
    with running_hub() as hub:
        with connected(hub.address) as old:
            hold_up(hub, old, seen)
        with connected(hub.address) as new:
            announce(new)
            assert new.of(Resumed) == []
            seen.may_go_on.set()
            new.wait_for(lambda: bool(new.of(Resumed)))
            assert new.of(Resumed) == [Resumed(1, 3, {0: 3})]
    assert seen.seqs == [1, 2, 3]


def test_an_older_collector_is_refused() -> None:
    """A stale one gets its code; the live one does not notice."""
    with running_hub() as hub, connected(hub.address, make_hello(epoch=5)) as live:
        stale = ScriptedCollector(hub.address, make_hello(epoch=4, instance=b"x" * 16))
        assert ended_with(stale) == ErrorCode.STALE_EPOCH
        stale.cut()
        live.open(RING)
        live.wait_acked(live.send(make_segment(0, 1)))


def test_hosts_are_apart() -> None:
    """Two hosts may even announce the same ring id; each has its own."""
    with (
        running_hub() as hub,
        connected(hub.address, make_hello("one")) as one,
        connected(hub.address, make_hello("two")) as two,
    ):
        for collector, last in ((one, 2), (two, 5)):
            collector.open(RING)
            collector.wait_acked(collector.send(make_segment(0, last)))
        assert [ring.account.committed for ring in hub.ledger().rings] == [2, 5]
