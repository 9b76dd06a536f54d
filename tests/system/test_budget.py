"""Ten thousand workers die and nobody drains: the budget holds, all is counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shmtel.evictions import SLOT_BYTES
from support.processes import environment
from support.ring_layout import NAMES_SIZE

pytestmark = pytest.mark.system

DEATHS = 10_000
FILE_SYSTEM = 8 << 20
RING = (64 << 10) + NAMES_SIZE + 4 * 4096  # what a ring of 64 KiB takes
ACCOUNT = 2 * SLOT_BYTES


@pytest.mark.timeout(300)  # half a minute, on a machine that does nothing else
def test_ten_thousand_deaths_stay_within_the_budget(tmp_path: Path) -> None:
    """Never more than a quarter and one live ring, and no event is unaccounted."""
    script = f'mount -t tmpfs -o size={FILE_SYSTEM} none /mnt && exec "$@"'
    program = (sys.executable, "-m", "support.worker_deaths", "deaths", str(DEATHS))
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *program, str(tmp_path)],
        cwd="/",
        env=environment(
            "deaths",
            SHMTEL_RING_SIZE="64KiB",
            SHMTEL_DIR="/mnt",
            SHMTEL_TEST_DIR="/mnt",
            PYTHONPATH=str(Path(__file__).parent.parent),
        ),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    seen = json.loads(done.stdout)
    assert seen["most_bytes"] <= FILE_SYSTEM // 4 + RING + ACCOUNT
    assert seen["most_bytes"] > FILE_SYSTEM // 4  # the budget was reached, and used
    before, after = seen["before"], seen["after"]
    assert before["in_ring"] + before["lost"]["evicted"] == seen["emitted"]
    assert before["committed"] == seen["emitted"]
    assert seen["delivered"] == before["in_ring"] > 0
    assert after["lost"] == before["lost"]
    assert after["delivered"] + after["lost"]["evicted"] == seen["emitted"]
    assert after["unaccounted"] == before["unaccounted"] == 0
    assert seen["left"] == []
