"""The bridge as a handler, without a backend."""

import importlib
import sys

import pytest

from shmtel.hub.bridges.account import Accountable
from shmtel.hub.bridges.opentelemetry import OpenTelemetryBridge
from shmtel.hub.handlers import EventBatch
from shmtel.hub.hub import Hub
from shmtel.hub.records import Record
from support.frames import WORKER

PACKAGE = "shmtel.hub.bridges.opentelemetry"


def batch(*timestamps_ns: int) -> EventBatch:
    """Return a segment of plain events."""
    records = [
        Record(0, seq, at, 0, None, {}, None, None)
        for seq, at in enumerate(timestamps_ns, 1)
    ]
    return EventBatch("node", WORKER, "ab" * 16, ["a.b"], records)


def test_every_event_is_accounted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that OTLP has no words for, and what comes after the end."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    bridge = OpenTelemetryBridge()
    assert isinstance(bridge, Accountable)
    bridge.close()
    bridge(batch(1, -1, 2))
    accounts = bridge.accounts()
    assert accounts["events"].dropped == {"unsayable": 1}
    assert accounts["logs"].given == 2
    assert accounts["logs"].dropped == {"stopped": 2}
    assert bridge.mapped()["logs"] == 2


def test_a_bridge_is_attached_once() -> None:
    """Twice would export everything twice."""
    hub, bridge = Hub("127.0.0.1:0"), OpenTelemetryBridge()
    bridge.attach(hub)
    with pytest.raises(ValueError, match="attached already"):
        bridge.attach(hub)
    (handler,) = hub.list_handlers()
    assert not handler.holds_ack
    hub.stop()


@pytest.mark.parametrize("missing", ["urllib3", "xxhash", "opentelemetry.proto"])
def test_what_is_not_installed_is_said(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, PACKAGE)
    with pytest.raises(ImportError, match=r"needs .*\[hub,opentelemetry\]"):
        importlib.import_module(PACKAGE)
