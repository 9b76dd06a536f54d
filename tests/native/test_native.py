"""The core without Python, compiled by the Makefile here and run under sanitizers.

`make test-native` runs the same programs without Python.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.native_build import NATIVE, build
from support.program import clean_environment

# What is compiled here takes its time on a busy machine.
pytestmark = pytest.mark.timeout(600)

CORE = NATIVE.parents[1] / "shmtel" / "csrc"
REPORTED = 66  # how the thread sanitizer ends a program that it has reported on


@pytest.fixture(scope="module")
def programs() -> Path:
    """Every program, built once; what a run before has built is used again."""
    return build("all")


def _run(binary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary), *arguments],
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize("part", ["consumer", "follower", "judge", "producer"])
def test_a_part_alone_is_clean_under_asan_and_ubsan(programs: Path, part: str) -> None:
    """What each part promises holds, at its bounds and on hostile input."""
    run = _run(programs / "asan" / f"test_{part}")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "ok\n"


@pytest.mark.parametrize("mode", [[], ["overwrite"]], ids=["drop", "overwrite"])
@pytest.mark.parametrize("sanitizer", ["tsan", "asan"])
def test_both_sides_at_once(programs: Path, sanitizer: str, mode: list[str]) -> None:
    """A producer, a consumer and observers on one small ring agree, in both modes."""
    run = _run(programs / sanitizer / "stress_ring", "30000", *mode)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("30000 events")


def test_the_two_sides_do_not_race(programs: Path) -> None:
    """Where the thread sanitizer sees both sides at one address, it finds nothing."""
    run = _run(programs / "tsan" / "race_ring", "30000")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("30000 events")


@pytest.mark.parametrize(
    "order",
    ["TAIL_RELEASE", "TAIL_ACQUIRE", "HEAD_RELEASE", "HEAD_ACQUIRE", "NAMES_RELEASE"],
)
def test_a_weakened_order_is_a_race(programs: Path, order: str) -> None:
    """Each order of tail, head and names is missed at once when it is relaxed."""
    run = _run(programs / "tsan" / f"race_ring-{order}", "30000")
    assert run.returncode == REPORTED, run.stderr
    assert "ThreadSanitizer: data race" in run.stderr


@pytest.mark.parametrize("target", ["consumer", "changing", "schema"])
def test_what_fuzzing_has_found_is_read_again(programs: Path, target: str) -> None:
    """Each input that once reached something new is refused or read, in bounds."""
    inputs = sorted(map(str, (NATIVE / f"corpus_{target}").iterdir()))
    run = _run(programs / "asan" / f"replay_{target}", *inputs)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{len(inputs)} inputs\n"
    assert len(inputs) > 100


@pytest.mark.parametrize("function", ["encode", "decode"])
def test_what_fuzzing_has_found_is_coded_again(function: str) -> None:
    """On each saved input the core agrees with msgpack."""
    inputs = sorted(map(str, (NATIVE / f"corpus_{function}").iterdir()))
    run = subprocess.run(
        [sys.executable, str(NATIVE / "codec_fuzz.py"), function, *inputs],
        env=clean_environment(PYTHONPATH=str(NATIVE.parent)),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{len(inputs)} inputs\n"
    assert len(inputs) > 50


def test_the_core_knows_nothing_of_python() -> None:
    """No file outside the binding includes Python's header."""
    for path in (*CORE.glob("ring*.[ch]"), *CORE.glob("msgpack*.[ch]")):
        if path.name != "ringmodule.c":
            assert "Python.h" not in path.read_text(), path
