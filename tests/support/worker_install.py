"""An environment as `pip install shmtel` without extras leaves it.

The interpreter starts without site-packages and gets one directory instead,
which holds links to the files of the distributions that a worker install has.
"""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

_DISTRIBUTIONS = ("shmtel", "posix-ipc", "msgpack")


def make_site(directory: Path) -> Path:
    """Fill a directory with links to what a worker install has; return it."""
    for distribution in _DISTRIBUTIONS:
        link_distribution(directory, distribution)
    return directory


def link_distribution(directory: Path, name: str) -> None:
    """Add the files of an installed distribution."""
    distribution = metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or ()} - {"..", ""}:
        link = directory / top
        if not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(top))))


def run_python(
    site: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter with that directory in the place of site-packages."""
    environment = {**os.environ, **(env or {}), "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        env=environment,
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
