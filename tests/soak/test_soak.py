"""A line under load for as long as is asked: nothing grows, nothing is lost.

`make soak SECONDS=1800 RATE=50000`; without it a short form, which shows that the
long one works, and that a leak which is fast is found.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from support.collector_process import CollectorProcess
from support.home import HOME
from support.hub_process import HubProcess
from support.processes import environment, wait_until
from support.program import fresh_namespace
from support.vitals import Samples, Watch, length_from_environment, vitals_of

pytestmark = pytest.mark.system

SECONDS, RATE = length_from_environment(12, 20_000)
SETTLE_S = 3.0
# The hub remembers the newest 10,000 rings that have ended. Until there are so many
# each takes 2.5 KiB by itself, and 4.6 KiB were measured under this load.
REMEMBERED_KIB = 6.0


class _Churn:
    """The workers, until they are told to end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def end(self) -> dict[str, int]:
        """End them, and return what they did."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=60)
        outcome: dict[str, int] = json.loads(output)
        return outcome


@contextmanager
def _churning(namespace: str) -> Iterator[_Churn]:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.churn", str(RATE), "1"],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",  # where no source of ours shadows the installed build
        env=environment(namespace, PYTHONPATH=str(Path(__file__).parent.parent)),
    )
    try:
        yield _Churn(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.timeout(SECONDS + 180)
def test_a_line_under_load_is_flat(tmp_path: Path) -> None:
    """Descriptors, threads, memory and segments stay, while workers come and go."""
    with (
        fresh_namespace() as namespace,
        HubProcess(f"unix:{tmp_path / 'hub'}", tmp_path, str(tmp_path / "h")) as hub,
        CollectorProcess(namespace, hub.address, tmp_path) as collector,
        _churning(namespace) as churn,
    ):
        wait_until(lambda: hub.segments(), 30)
        time.sleep(SETTLE_S)  # all workers are there
        subjects = {
            "collector": partial(vitals_of, collector.pid),
            "hub": partial(vitals_of, hub.pid),
            "namespace": lambda: {"segments": len(HOME.scan(namespace))},
        }
        with Watch(subjects) as watch:
            time.sleep(SECONDS)
        outcome = churn.end()
        wait_until(lambda: HOME.scan(namespace) == [], 60)
        total = collector.wait_quiet().total
        print(json.dumps({**outcome, **watch.summary()}, indent=2))
        assert (total.unaccounted, total.lost) == (0, {})
        assert total.delivered == total.committed
        assert sum(hub.check_each_once().values()) == total.committed
        # An emit that was interrupted by the end of its process may have been counted.
        emitted = total.committed + sum(total.dropped.values())
        assert outcome["returned"] <= emitted
        assert emitted <= outcome["returned"] + outcome["killed"]
        assert outcome["started"] > 2 * SECONDS / 8
        ended = outcome["started"] / 2  # in the half that is looked at
        watch.check_flat({("hub", "memory_kib"): REMEMBERED_KIB * ended})


def test_a_leak_is_found() -> None:
    """What rises steadily is no noise; what only fluctuates is."""
    leaking, noisy = Samples(), Samples()
    for second in range(60):
        leaking.add(second, {"descriptors": 20 + second})
        noisy.add(second, {"descriptors": 20 + 10 * (second % 2)})
    watch = Watch({"noisy": lambda: {}})
    watch.samples["noisy"] = noisy
    watch.check_flat()
    watch.samples["leaking"] = leaking
    with pytest.raises(AssertionError, match="leaking"):
        watch.check_flat()
