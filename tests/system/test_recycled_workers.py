"""Workers that live for one task: every span of every one of them arrives, once."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from shmtel.hub import Hub
from support.collector_process import CollectorProcess
from support.home import HOME
from support.processes import environment, wait_until
from support.program import fresh_namespace
from support.redis_server import redis_server

pytestmark = pytest.mark.system

TASKS = 1_000
SLOW_TASKS = 40  # of a start method that begins a new interpreter for each
SUPPORT = str(Path(__file__).parent.parent)


class _Recycling:
    """A running line, and what has arrived of its tasks."""

    def __init__(self, namespace: str, hub: Hub, collector: CollectorProcess) -> None:
        self._namespace = namespace
        self._collector = collector
        self._arrived: Counter[tuple[str, object]] = Counter()
        hub.attach("count", "*", self._note)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a program whose workers are recycled."""
        return environment(self._namespace, PYTHONPATH=SUPPORT, **more)

    def check(self, tasks: int) -> None:
        """See that both ends of each span came once, and that no ring is left."""
        wait_until(lambda: HOME.scan(self._namespace) == [], 60)
        assert self._arrived == {
            (f"recycled.task.{end}", number): 1
            for end in ("start", "stop")
            for number in range(tasks)
        }
        total = self._collector.wait_quiet().total
        assert (total.committed, total.delivered) == (2 * tasks, 2 * tasks)
        assert (total.unaccounted, total.lost) == (0, {})

    def _note(
        self,
        event: str,
        _measurements: Mapping[str, float],
        metadata: Mapping[str, object],
        _config: object,
    ) -> None:
        self._arrived[event, metadata["number"]] += 1


@pytest.fixture
def line(tmp_path: Path) -> Iterator[_Recycling]:
    """Run hub and collector."""
    with (
        fresh_namespace() as namespace,
        Hub(f"unix:{tmp_path / 'hub'}") as hub,
        CollectorProcess(namespace, hub.address, tmp_path) as collector,
    ):
        yield _Recycling(namespace, hub, collector)


@pytest.mark.parametrize(
    ("method", "tasks"),
    [("fork", TASKS), ("forkserver", SLOW_TASKS), ("spawn", SLOW_TASKS)],
)
def test_a_pool_that_recycles_its_workers(
    line: _Recycling, method: str, tasks: int
) -> None:
    """With `maxtasksperchild=1` there are as many spans as tasks."""
    program = (sys.executable, "-m", "support.recycled_pool", method, str(tasks))
    subprocess.run(program, env=line.variables(), cwd="/", check=True, timeout=100)
    line.check(tasks)


@contextmanager
def _celery(variables: Mapping[str, str], directory: Path) -> Iterator[None]:
    """Run a Celery worker with eight processes; it ends in good order."""
    with (directory / "celery.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "support.recycled_celery"),
                *("worker", "--pool", "prefork", "--concurrency", "8"),
                *("--without-gossip", "--without-mingle", "--loglevel", "warning"),
            ],
            env=variables,
            cwd="/",
            stdout=log,
            stderr=log,
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(360)  # half a minute, on a machine that does nothing else
def test_celery_that_recycles_its_workers(line: _Recycling, tmp_path: Path) -> None:
    """With `max_tasks_per_child=1` and prefork there are as many spans as tasks."""
    with redis_server(tmp_path) as url:
        variables = line.variables(RECYCLED_REDIS=url)
        with _celery(variables, tmp_path):
            client = (sys.executable, "-m", "support.recycled_celery", str(TASKS))
            subprocess.run(client, env=variables, cwd="/", check=True, timeout=250)
        line.check(TASKS)
