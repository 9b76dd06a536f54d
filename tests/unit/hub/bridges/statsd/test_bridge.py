"""The bridge with a socket that the test reads."""

import logging
import threading
from pathlib import Path

import pytest

from shmtel.hub import measures
from shmtel.hub.bridges.statsd import StatsdBridge, StatsdSettings
from support.measured import Bench
from support.processes import wait_until
from support.statsd import Receiver

EVENT = {"metadata": {"tool": "t"}}
CALLS = measures.counter("calls", "a.b", tags=["tool"])


def settings(path: Path, **options: float) -> StatsdSettings:
    """Return settings with which a flush comes soon."""
    return StatsdSettings(f"unix:{path}", **({"interval_s": 0.05} | options))  # type: ignore[arg-type]


def test_the_last_flush_tells_the_rest(tmp_path: Path) -> None:
    """Of what was added since the start, and not of what was there before."""
    bench = Bench(CALLS)
    ring = bench.ring()
    ring.emit(EVENT)
    with Receiver(tmp_path / "s") as receiver:
        with StatsdBridge(bench.measures, settings(tmp_path / "s", interval_s=30)):
            ring.emit(EVENT, EVENT)
        receiver.read()
    assert receiver.datagrams == [b"calls.t:2|c"]


def test_a_server_that_goes_and_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is added meanwhile is told when it is back, by another socket; each tale
    of the log once, and the account adds up."""
    caplog.set_level(logging.INFO)
    bench, path = Bench(CALLS), tmp_path / "s"
    ring = bench.ring()
    bridge = StatsdBridge(bench.measures, settings(path))

    def failed(reason: str) -> int:
        return bridge.accounts()["lines"].failures.get(reason, 0)

    with bridge:
        ring.emit(EVENT)
        wait_until(lambda: failed("absent") >= 2)
        with Receiver(path) as receiver:
            receiver.wait_counted("calls.t", 1)
        ring.emit(EVENT)
        wait_until(lambda: failed("refused") >= 2)
        assert bridge.accounts()["lines"].waiting == 1
        path.unlink()
        with Receiver(path) as receiver:
            ring.emit(EVENT)
            receiver.wait_counted("calls.t", 2)
            assert receiver.total("calls.t") == 2
            wait_until(lambda: bridge.accounts()["lines"].waiting == 0)
    account = bridge.accounts()["lines"]
    assert account.given == account.sent
    away, back = "does not take 1 of 1 lines", "takes all lines again"
    said = [r.getMessage() for r in caplog.records]
    assert [away in text for text in said] == [True, False, True, False]
    assert [back in text for text in said] == [False, True, False, True]


def test_a_server_that_does_not_read(tmp_path: Path) -> None:
    """Its queue is full; the bridge waits a moment, and counts what is left."""
    bench = Bench(CALLS)
    bridge = StatsdBridge(
        bench.measures, settings(tmp_path / "s", datagram_bytes=256, interval_s=30)
    )
    events = [{"metadata": {"tool": f"{n:0>120}"}} for n in range(900)]
    with Receiver(tmp_path / "s") as receiver:
        bridge.start()
        bench.ring().emit(*events)
        bridge.stop(1.0)
        receiver.read()
    account = bridge.accounts()["lines"]
    assert account.sent == receiver.counted.total() > 0
    assert account.dropped == {"stopped": len(events) - account.sent}
    assert account.given == len(events)
    assert account.failures == {"full": 1}


def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    """It is dropped and counted; the others are told."""
    tags = [f"key{n}" for n in range(5)]
    bench = Bench(measures.counter("long", "a.b", tags=tags), CALLS)
    bridge = StatsdBridge(bench.measures, settings(tmp_path / "s", datagram_bytes=256))
    with Receiver(tmp_path / "s") as receiver, bridge:
        bench.ring().emit({"metadata": {**dict.fromkeys(tags, "x" * 90), "tool": "t"}})
        receiver.wait_counted("calls.t", 1)
    account = bridge.accounts()["lines"]
    assert (account.sent, account.dropped) == (1, {"too_long": 1})


def test_a_defect_is_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and logged once, and the next flush comes."""
    bench = Bench(CALLS)

    class Source:
        def __init__(self) -> None:
            self.reads = 0

        def read(self) -> object:
            self.reads += 1
            if self.reads in (2, 3):
                raise RuntimeError("broken")
            return bench.measures.read()

    bridge = StatsdBridge(Source(), settings(tmp_path / "s"))  # type: ignore[arg-type]
    with Receiver(tmp_path / "s") as receiver, bridge:
        bench.ring().emit(EVENT)
        receiver.wait_counted("calls.t", 1)
    assert bridge.accounts()["lines"].failures == {"defect": 2}
    assert len(caplog.records) == 1


def test_an_end_that_hangs_is_waited_for_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops a bridge and leaves its context waits once, and reads one line."""
    may_go_on, is_reading = threading.Event(), threading.Event()
    waits = list[float]()

    class Source:
        reads = 0

        def read(self) -> list[object]:
            self.reads += 1
            if self.reads > 1:
                is_reading.set()
                assert may_go_on.wait(10.0)
            return []

    where = StatsdSettings("127.0.0.1:9", interval_s=0.1)
    bridge = StatsdBridge(Source(), where)  # type: ignore[arg-type]
    with bridge:
        assert is_reading.wait(10.0)
        bridge.stop(0.01)
        monkeypatch.setattr(bridge._thread, "join", waits.append)
    may_go_on.set()
    assert waits == []
    said = [record.getMessage() for record in caplog.records]
    assert said == ["statsd: the last flush did not end in 0.0 s"]
