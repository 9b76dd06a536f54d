"""A real hub: its addresses, its limits, its heartbeats, its end."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest

from shmtel.errors import ConfigurationError
from shmtel.hub import Hub
from shmtel.hub.handlers import EventBatch
from shmtel.wire.collector_events import Acked, DrainAsked, Ended
from shmtel.wire.frames import ErrorCode, Heartbeat
from support.hubs import WAIT_S, Seqs, running_hub
from support.uplink import ScriptedCollector, connected, make_hello, make_segment


def test_a_port_in_use_is_refused() -> None:
    """Two hubs on one port would share its collectors without noticing."""
    with running_hub() as hub:
        assert not hub.address.endswith(":0")
        with pytest.raises(ConfigurationError, match="cannot listen"):
            Hub(hub.address).start()


def test_a_unix_socket(tmp_path: Path) -> None:
    """A hub may listen on a unix socket."""
    address = f"unix:{tmp_path / 'hub.sock'}"
    with Hub(address) as hub, connected(address) as collector:
        assert hub.address == address
        collector.open()


def test_one_collector_too_many_is_refused_at_once() -> None:
    """It is told why instead of waiting; a place that gets free is free."""
    with running_hub(max_collectors=1) as hub:
        with connected(hub.address, make_hello("one")) as one:
            two = ScriptedCollector(hub.address, make_hello("two"))
            two.wait_over()
            assert two.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "raise max_collectors" in two.details
            two.cut()
            one.open()
            assert hub.stats().refused_streams == 1
        wait_until(lambda: hub.stats().streams == 0)
        with connected(hub.address, make_hello("two")) as two:
            two.open()


def wait_until(condition: object) -> None:
    """Wait until a function returns something true."""
    assert callable(condition)
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_heartbeats_flow_while_a_handler_works() -> None:
    """A slow handler delays acks, not heartbeats, and its age is told."""
    seen = Seqs()
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch("seen", "*", seen)
        collector.open()
        seen.hold()
        collector.send(make_segment(0, 1))
        assert seen.entered.wait(WAIT_S)
        collector.wait_for(lambda: any(map(is_old, collector.frames)))
        assert collector.of(Acked) == []
        seen.may_go_on.set()
        collector.wait_acked(1)


def is_old(frame: object) -> bool:
    """Tell whether a frame is a heartbeat with a batch that waits."""
    return isinstance(frame, Heartbeat) and frame.oldest_unacked_age_ms > 0


def test_stop_finishes_the_batch_in_work() -> None:
    """Its ack still goes out, the collector leaves in order, and the hub has ended."""
    seen = Seqs()
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch("seen", "*", seen)
        collector.open()
        seen.hold()
        collector.send(make_segment(0, 1))
        assert seen.entered.wait(WAIT_S)
        stopper = threading.Thread(target=hub.stop, args=(WAIT_S,))
        stopper.start()
        seen.may_go_on.set()
        collector.wait_over()
        stopper.join(WAIT_S)
        assert not stopper.is_alive()
        assert len(collector.of(Acked)) == 1
        assert len(collector.of(DrainAsked)) == 1
        assert collector.of(Ended) == []


def test_stop_does_not_wait_for_a_handler_for_ever() -> None:
    """After the grace the hub ends; the batch stays unacknowledged."""
    seen = Seqs()
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch("seen", "*", seen)
        collector.open()
        seen.hold()
        collector.send(make_segment(0, 1))
        assert seen.entered.wait(WAIT_S)
        began = time.monotonic()
        hub.stop(0.2)
        assert time.monotonic() - began < WAIT_S / 2
        collector.wait_over()
        assert collector.of(Acked) == []
        seen.may_go_on.set()


def test_a_program_that_forgets_to_stop_its_hub_ends(tmp_path: Path) -> None:
    """No thread of a hub keeps its program alive, also with a stream open."""
    address = f"unix:{tmp_path / 'hub.sock'}"
    program = (
        "import sys; from shmtel.hub import Hub",
        f"hub = Hub({address!r}); hub.start(); print(flush=True)",
        "sys.stdin.read()",
    )
    with subprocess.Popen(
        [sys.executable, "-I", "-c", "\n".join(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with connected(address) as collector:
            collector.open()
            process.stdin.close()
            assert process.wait(WAIT_S) == 0


def broken_sink(_batch: EventBatch, _config: object) -> None:
    """Raise, as a sink does whose disk is full."""
    raise OSError("disk full")


def test_a_required_handler_that_raises_ends_all_streams() -> None:
    """Its batch is not acknowledged, every collector is told, none is accepted."""
    with running_hub() as hub, connected(hub.address, make_hello("two")) as other:
        hub.attach_batch("sink", "*", broken_sink, required=True)
        with connected(hub.address) as collector:
            collector.open()
            collector.send(make_segment(0, 1))
            collector.wait_over()
            assert collector.of(Acked) == []
        other.wait_over()
        late = ScriptedCollector(hub.address, make_hello("late"))
        late.wait_over()
        for peer in (collector, other, late):
            (ended,) = peer.of(Ended)
            assert ended.error.code == ErrorCode.SHUTTING_DOWN
            assert "'sink': disk full" in ended.error.message
        late.cut()
        assert "disk full" in str(hub.failure)
        assert hub.stats().handler_failures == 1
        assert hub.ledger().rings[0].account.committed == 0


def test_many_batches_are_acknowledged_together() -> None:
    """Acks are cumulative: a burst needs fewer of them than it has batches."""
    seen = Seqs()
    with running_hub() as hub, connected(hub.address) as collector:
        hub.attach_batch("seen", "*", seen)
        collector.open()
        for seq in range(200):
            collector.send(make_segment(seq, seq + 1))
        collector.wait_acked(200)
        assert seen.seqs == list(range(1, 201))
        assert hub.stats().batches == 200
