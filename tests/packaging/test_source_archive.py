"""What the source archive holds beside the packages."""

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_is_for_operators_is_in_the_archive(tmp_path: Path) -> None:
    """Dashboard, alerts and units, and what makes the core; no leavings."""
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "setup.py", "-q"),
            *("egg_info", "--egg-base", str(tmp_path)),
            *("sdist", "--formats", "tar", "--dist-dir", str(tmp_path)),
        ],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    (archive,) = tmp_path.glob("*.tar")
    with tarfile.open(archive) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    files = (path for path in ROOT.glob("deploy/**/*") if path.is_file())
    wanted = {str(path.relative_to(ROOT)) for path in files}
    wanted = {path for path in wanted if "__pycache__" not in path}
    assert len(wanted) > 10
    assert wanted | {"setup.py", "shmtel/csrc/ring_layout.h"} <= held
    assert not any("__pycache__" in name for name in held)
