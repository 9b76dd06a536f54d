"""A disk of a few MiB, to be filled."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tiny_disk(size_bytes: int) -> Iterator[Path]:
    """Mount one for a while; the superuser may."""
    with tempfile.TemporaryDirectory() as directory:
        mount = ("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", directory)
        subprocess.run(mount, check=True)
        try:
            yield Path(directory)
        finally:
            subprocess.run(("umount", "-l", directory), check=True)
