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
    for distribution in map(metadata.distribution, _DISTRIBUTIONS):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file.parts[0])))
            link = directory / file.parts[0]
            if file.parts[0] != ".." and not link.exists():
                link.symlink_to(source)
    return directory


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
