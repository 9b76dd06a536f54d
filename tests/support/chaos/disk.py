"""Small file systems of a run's own, which can be filled up and emptied again.

Mounting takes a mount namespace; `__main__.py` makes one. Where that is refused a
disk is a plain directory: what needs a full one is left out of the run, which
says so.
"""

import contextlib
import errno
import os
import subprocess
from pathlib import Path

IN_NAMESPACE = "SHMTEL_CHAOS_NAMESPACE"  # set to 1 where one may mount
_BLOCK = 64 << 10


class Disk:
    """A directory on a tmpfs of its own, if there may be one."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.is_mounted = _mount(path, size_bytes)
        self._filler = path / "filler"

    def fill(self) -> None:
        """Take every byte that is left."""
        assert self.is_mounted
        with self._filler.open("ab", buffering=0) as file:
            for size in (_BLOCK, 4096, 1):
                _append_until_full(file.fileno(), size)

    def free(self) -> None:
        """Give back what was taken."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it; what was on it is gone."""
        if self.is_mounted:
            self.is_mounted = False
            subprocess.run(["umount", "-l", self.path], check=True)


def _append_until_full(file: int, size: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            if os.write(file, bytes(size)) < size:
                raise OSError(errno.ENOSPC, "full")


def _mount(path: Path, size_bytes: int) -> bool:
    if os.environ.get(IN_NAMESPACE) != "1":
        return False
    options = f"size={size_bytes}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", path],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def namespace_command() -> list[str] | None:
    """Return what runs a program in a mount namespace; None: not permitted."""
    for options in ("-m", "-rm"):
        command = ["unshare", options]
        probe = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        with contextlib.suppress(OSError):
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                return command
    return None
