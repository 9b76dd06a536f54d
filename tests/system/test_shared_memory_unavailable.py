"""A host whose /dev/shm is full, read-only or absent: the worker runs on."""

import subprocess
import sys

import pytest

from support.processes import environment
from support.program import fresh_namespace

pytestmark = pytest.mark.system

CODE = """
import shmtel
for index in range(1000):
    shmtel.emit("e", {"index": index})
with shmtel.span("s"):
    pass
stats = shmtel.stats()
assert stats["ring_id"] is None, stats
assert stats["dropped"]["no_ring"] == stats["emitted"] == 1002, stats
print("worked on")
"""

FULL = "mount -t tmpfs -o size=64k none /dev/shm"
READ_ONLY = "mount -t tmpfs -o ro none /dev/shm"
DIRECTORY = "mount -t tmpfs -o ro none /mnt\nexport SHMTEL_DIR=/mnt"
ABSENT = """
    new=$(mktemp -d)
    mount -t tmpfs none $new
    for node in null zero random urandom; do
        touch $new/$node
        mount --bind /dev/$node $new/$node
    done
    mount --rbind $new /dev
"""


def run_with(setup: str, namespace: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a mount namespace of its own, prepared by a script."""
    script = f'set -e\n{setup}\nexec "$0" -c "$1"'
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, sys.executable, CODE],
        cwd="/",
        env=environment(namespace),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("setup", "cure"),
    [
        (FULL, "SHMTEL_RING_SIZE"),
        (READ_ONLY, "may write to it"),
        (ABSENT, "check that it exists"),
        (DIRECTORY, "Cure: /mnt: check that it exists"),
    ],
    ids=["full", "read-only", "absent", "read-only directory"],
)
def test_worker_runs_on_with_one_warning(setup: str, cure: str) -> None:
    """Every emit is counted as dropped for want of a ring, and stderr has the cure."""
    with fresh_namespace() as namespace:
        done = run_with(setup, namespace)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "worked on\n"
    assert done.stderr.count("ShmtelWarning") == 1
    assert cure in done.stderr


def test_ring_is_made_once_there_is_room_again() -> None:
    """After the cure, enable() tries again, and the counts go into the new ring."""
    code = """
import os, shmtel
shmtel.emit("e", {})
assert shmtel.stats()["dropped"]["no_ring"] == 1
os.system("mount -o remount,size=16m /dev/shm")
shmtel.enable()
shmtel.emit("e", {})
stats = shmtel.stats()
assert stats["committed"] == 1, stats
assert stats["dropped"]["no_ring"] == 1, stats
"""
    script = f'set -e\n{FULL}\nexec "$0" -c "$1"'
    with fresh_namespace() as namespace:
        subprocess.run(
            ["unshare", "-rm", "sh", "-c", script, sys.executable, code],
            cwd="/",
            env=environment(namespace),
            check=True,
            timeout=60,
        )
