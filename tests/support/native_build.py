"""What tests compile: the Makefile of tests/native, and where it puts things."""

import os
import subprocess
import sys
from pathlib import Path

NATIVE = Path(__file__).parents[1] / "native"
BUILD = NATIVE.parents[1] / "build" / "native"


def build(*targets: str) -> Path:
    """Make targets, or set variables; what an earlier run has made is used again.

    Returns:
        Where all that is made lies.
    """
    environment = {key: os.environ[key] for key in os.environ if key != "MAKEFLAGS"}
    command = ("make", "-s", f"-j{os.cpu_count()}", "-C", str(NATIVE))
    made = subprocess.run(
        [*command, f"BUILD={BUILD}", f"PYTHON={sys.executable}", *targets],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return BUILD


def core_with_points() -> Path:
    """Make the core that dies at points, for this interpreter, and return it."""
    tag = sys.implementation.cache_tag
    return build("points") / f"points-{tag}" / "_ring.so"
