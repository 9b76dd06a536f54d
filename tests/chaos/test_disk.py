"""Disks that can be filled up, in a mount namespace of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.chaos.disk import IN_NAMESPACE, namespace_command
from support.native_build import NATIVE

pytestmark = pytest.mark.system

FILLS = """
import errno, sys
from pathlib import Path
from support.chaos.disk import Disk
disk = Disk(Path(sys.argv[1]), 1 << 20)
assert disk.is_mounted
(disk.path / "before").write_bytes(b"kept")
disk.fill()
try:
    (disk.path / "full").write_bytes(b"x")
except OSError as error:
    assert error.errno == errno.ENOSPC
else:
    raise SystemExit("there was room")
disk.free()
(disk.path / "after").write_bytes(bytes(4096))
assert (disk.path / "before").read_bytes() == b"kept"
disk.close()
assert list(disk.path.iterdir()) == []
"""


def test_disk_is_full_until_it_is_freed(tmp_path: Path) -> None:
    """Not a byte fits in, then all that fitted before; nothing outside sees it."""
    command = namespace_command()
    assert command is not None, "these tests need a mount namespace"
    done = subprocess.run(
        [*command, sys.executable, "-c", FILLS, str(tmp_path / "disk")],
        env={**os.environ, IN_NAMESPACE: "1", "PYTHONPATH": str(NATIVE.parent)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
