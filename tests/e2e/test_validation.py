"""A user's catalog in force on a whole line: rejected, stripped, passed, counted."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shmtel.hub import Hub
from support.collector_process import CollectorProcess
from support.http import by_label, get, samples, scrape, total
from support.processes import environment, wait_until
from support.program import fresh_namespace, shmtel, worker_program

CATALOG = """
[limits]
string_bytes = 200
[[modes]]
pattern = "shop.*"
mode = "reject"
[events."shop.sold"]
measurements = { total = "EUR" }
metadata = ["country"]
[events."tool.execution.stop"]
metadata = ["colour"]
"""
NASTY = "tool.\\x1b[2J\\u2028evil"
WORK = (
    'stop = "tool.execution.stop"',
    'shmtel.emit(stop, {"duration": 1, "bytes": 2}, {"tool": "a", "colour": "b"})',
    'shmtel.emit(stop, {"duration": 1, "moons": 2}, {"tool": "a", "pid": 7})',
    'shmtel.emit("shop.sold", {"total": 1.5}, {"country": "CH"})',
    'shmtel.emit("shop.sold", {"total": 1.5}, {"town": "Bern"})',
    'shmtel.emit("shop.stolen", {"total": 1.5})',
    'shmtel.emit("my.own", {"n": 1}, {"any": [1, {"x": 2}], "pid": "forged"})',
    'shmtel.emit("my.own", {"n": 1}, {"any": "x" * 201})',
    f'shmtel.emit("{NASTY}", {{"n": 1}}, {{"a": 1}})',
)
UNKNOWN = "unknown_key"
Events = list[tuple[str, dict[str, Any], dict[str, Any]]]


class Scene:
    """A worker that has emitted, the collector that judged, and what arrived."""

    def __init__(self, stack: ExitStack, namespace: str, directory: Path) -> None:
        self.events: Events = []
        self._lock = threading.Lock()
        catalog, program = directory / "shop.toml", directory / "w.py"
        catalog.write_text(CATALOG)
        self.hub = stack.enter_context(Hub("127.0.0.1:0"))
        self.hub.attach("note", "*", self._note, None)
        subprocess.run(
            [sys.executable, str(worker_program(program, WORK))],
            env=environment(namespace),
            cwd="/",
            check=True,
            timeout=30,
        )
        config = f'catalog = ["{catalog}"]\n'
        self.collector = stack.enter_context(
            CollectorProcess(
                *(namespace, self.hub.address, directory / "c", config),
                SHMTEL_COLLECTOR_HTTP="127.0.0.1:0",
            )
        )
        wait_until(lambda: len(self.events) == 5, 20)
        wait_until(lambda: self.collector.ledger().total.delivered == 5, 20)

    def _note(
        self,
        event: str,
        measurements: dict[str, Any],
        metadata: dict[str, Any],
        config: object,
    ) -> None:
        with self._lock:
            self.events.append((event, measurements, metadata))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One line for all that is looked at here."""
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        yield Scene(stack, namespace, tmp_path_factory.mktemp("scene"))


def test_what_arrives_holds_allowed_keys_only(scene: Scene) -> None:
    """Known, stripped and passed; what is stamped was never a worker's."""
    own = ("tool", "colour", "country", "any", "moons", "user.pid")
    arrived = [
        (event, measurements, {key: metadata[key] for key in own if key in metadata})
        for event, measurements, metadata in scene.events
    ]
    stop = "tool.execution.stop"
    assert arrived == [
        (stop, {"duration": 1, "bytes": 2}, {"tool": "a", "colour": "b"}),
        (stop, {"duration": 1}, {"tool": "a"}),
        ("shop.sold", {"total": 1.5}, {"country": "CH"}),
        ("my.own", {"n": 1}, {"any": [1, {"x": 2}], "user.pid": "forged"}),
        (NASTY.encode().decode("unicode_escape"), {}, {}),
    ]
    [pid] = {metadata["pid"] for _, _, metadata in scene.events}
    assert isinstance(pid, int)


def test_hub_host_and_metrics_count_the_same(scene: Scene) -> None:
    """Each event is accounted for, by reason, and what was stripped beside it."""
    rejected = {"unknown_event": 1, "unknown_key": 1, "over_limit": 1}
    host = scene.collector.ledger().total
    fleet = wait_until(lambda: (t := scene.hub.ledger().total).committed == 8 and t, 20)
    for account in (host, fleet):
        assert (account.committed, account.delivered) == (8, 5)
        assert account.rejected == rejected
        assert account.unaccounted == 0
    values = scrape(scene.collector.url())
    assert by_label(values, "shmtel_events_rejected_total", "reason") == rejected
    assert total(values, "shmtel_events_delivered_total") == 5
    for what, keys in (("events", (1, 1)), ("keys", (2, 2))):
        found = by_label(values, f"shmtel_{what}_stripped_total", "reason")
        assert found == dict(zip((UNKNOWN, "unknown_event"), keys, strict=True))


def test_a_hostile_name_breaks_nothing(scene: Scene) -> None:
    """Neither the exposition, nor the log, nor a terminal that reads either."""
    page = get(f"{scene.collector.url()}/metrics").text
    labels = {dict(key).get("event", "") for _, key in samples(page)}
    assert "tool.\ufffd[2J\ufffdevil" in labels
    log = scene.collector.log()
    assert "come with keys that the catalog does not allow" in log
    for text in (page, log):
        assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_a_broken_catalog_keeps_a_collector_from_starting(
    tmp_path: Path, way: str
) -> None:
    """It names file, line and cure, however it was told of the file."""
    path, config = tmp_path / "broken.toml", tmp_path / "c.toml"
    path.write_text('[events."shop.sold"]\n\nmetdata = ["country"]\n')
    config.write_text(f'catalog = ["{path}"]\n')
    arguments = {"flag": ["--catalog", str(path)], "file": ["--config", str(config)]}
    variables = {"SHMTEL_CATALOG": f"{path}:"} if way == "variable" else {}
    result = shmtel("collector", *arguments.get(way, []), **variables)
    assert result.returncode == 6
    assert f"{path}:3: " in result.stderr
    assert "did you mean 'metadata'?" in result.stderr
