"""A hub that is away for long, under load: the spool takes it, the next hub gets it.

`make hub-away SECONDS=600 RATE=5000`; without it a short form.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from support.collector_process import CollectorProcess
from support.hub_process import HubProcess
from support.processes import environment, wait_until
from support.program import fresh_namespace
from support.vitals import Watch, length_from_environment, vitals_of

pytestmark = pytest.mark.system

SECONDS, RATE = length_from_environment(15, 5_000)
GROWTH_MAX_KIB = 64 << 10
WORKERS = 4

_STEADY = """
import os, sys, time, shmtel
rate, workers = map(int, sys.argv[1:])
for number in range(workers):
    if os.fork() == 0:
        following = time.monotonic()
        while os.getppid() != 1:
            for _ in range(rate // workers // 100):
                shmtel.emit("away", {"n": 1, "bytes": 5000}, {"tool": "predict"})
            following += 0.01
            time.sleep(max(0.0, following - time.monotonic()))
        sys.exit()
sys.stdin.read()
"""


@contextmanager
def _emitting(namespace: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", _STEADY, str(RATE), str(WORKERS)],
        stdin=subprocess.PIPE,
        cwd="/",  # where no source of ours shadows the installed build
        env=environment(namespace),
    )
    try:
        yield
    finally:
        process.communicate()  # the workers end with their parent


@pytest.mark.timeout(2 * SECONDS + 240)
def test_all_arrives_after_a_hub_was_away(tmp_path: Path) -> None:
    """In order and once, with memory bounded, and no event refused meanwhile."""
    spool = f'spool_dir = "{tmp_path / "spool"}"\nspool_max = "1GiB"\n'
    with (
        fresh_namespace() as namespace,
        HubProcess(f"unix:{tmp_path / 'hub'}", tmp_path, str(tmp_path / "h")) as hub,
        CollectorProcess(namespace, hub.address, tmp_path, spool) as collector,
    ):
        with _emitting(namespace):
            wait_until(lambda: len({ring for ring, _, _ in hub.segments()}) == WORKERS)
            hub.stop()
            before = hub.count()
            subjects = {"collector": partial(vitals_of, collector.pid)}
            with Watch(subjects) as watch:
                time.sleep(SECONDS)
                assert collector.ledger().total.spooled > 0
                hub.start()
                wait_until(lambda: hub.count() > before + SECONDS * RATE // 2, 60)
        total = collector.wait_quiet().total
        print(watch.summary(), total)
        assert (total.unaccounted, total.lost) == (0, {})
        assert sum(total.dropped.values()) == 0
        assert total.delivered == total.committed > SECONDS * RATE // 2
        assert sum(hub.check_each_once().values()) == total.committed
        memory = watch.samples["collector"].values["memory_kib"]
        assert max(memory) - memory[0] < GROWTH_MAX_KIB
