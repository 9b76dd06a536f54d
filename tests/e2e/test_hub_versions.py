"""A real collector at a real hub that speaks another version of the protocol."""

from pathlib import Path

import pytest

from shmtel.wire import hub_role
from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.processes import wait_until
from support.program import fresh_namespace


def test_a_collector_that_is_too_old_says_the_cure_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the side to upgrade; when that is done, nothing was lost."""
    monkeypatch.setattr(hub_role, "PROTOCOL_MIN", 2)
    monkeypatch.setattr(hub_role, "PROTOCOL_MAX", 3)
    cure = "protocol 1 to 1 is offered, 2 to 3 is spoken: upgrade the collector"
    with (
        fresh_namespace() as namespace,
        Emitter(namespace) as worker,
        NotingHub() as hub,
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
    ):
        worker.emit(10)
        wait_until(lambda: cure in collector.log())
        assert hub.hub.stats().violations >= 1
        assert hub.hub.stats().streams == 0
        monkeypatch.undo()
        wait_until(lambda: hub.count() == 10, 20.0)
        assert collector.log().count(cure) == 1
        assert collector.wait_quiet().total.unaccounted == 0
