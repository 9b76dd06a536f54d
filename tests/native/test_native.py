"""The core without Python, compiled here and run under the sanitizers."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "shmtel" / "csrc"
NATIVE = Path(__file__).parent
SOURCES = sorted(
    path for pattern in ("ring_*.c", "msgpack_*.c") for path in CORE.glob(pattern)
)
FLAGS = ("-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
# The thread sanitizer does not follow fences; ours stand between two copies by
# the kernel, which it does not follow either.
FLAGS_OF = {"thread": ("-Wno-tsan",)}


def _compile(program: str, sanitizers: str, directory: Path, *definitions: str) -> Path:
    binary = directory / program
    subprocess.run(
        [
            os.environ.get("CC", "cc"),
            *FLAGS,
            *definitions,
            *FLAGS_OF.get(sanitizers, ()),
            f"-fsanitize={sanitizers}",
            "-fno-sanitize-recover=all",
            f"-I{CORE}",
            str(NATIVE / f"{program}.c"),
            *map(str, SOURCES),
            "-o",
            str(binary),
        ],
        check=True,
    )
    return binary


def _run(binary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_consumer_is_clean_under_asan_and_ubsan(tmp_path: Path) -> None:
    """Round trips, truncated events, noise in every zone, a segment cut short."""
    run = _run(_compile("test_consumer", "address,undefined", tmp_path))
    assert run.returncode == 0, run.stderr
    assert run.stdout == "ok\n"


def test_the_judge_is_clean_under_asan_and_ubsan(tmp_path: Path) -> None:
    """The table of spans and the set of thresholds, at their bounds and past them."""
    run = _run(_compile("test_judge", "address,undefined", tmp_path))
    assert run.returncode == 0, run.stderr
    assert run.stdout == "ok\n"


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_both_sides_at_once(tmp_path: Path, sanitizer: str) -> None:
    """A producer, a consumer and observers on one small ring agree, in both modes."""
    binary = _compile("stress_ring", sanitizer, tmp_path)
    for mode in ([], ["overwrite"]):
        run = _run(binary, "30000", *mode)
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith("30000 events")


def test_what_fuzzing_has_found_is_read_again(tmp_path: Path) -> None:
    """Each input that once reached something new is refused or read, in bounds."""
    binary = _compile("fuzz_consumer", "address,undefined", tmp_path, "-DREPLAY")
    inputs = sorted(map(str, (NATIVE / "corpus").iterdir()))
    run = _run(binary, *inputs)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{len(inputs)} inputs\n"
    assert len(inputs) > 100


def test_the_core_knows_nothing_of_python() -> None:
    """No file outside the binding includes Python's header."""
    for path in (*SOURCES, *CORE.glob("ring*.h"), *CORE.glob("msgpack*.h")):
        assert "Python.h" not in path.read_text(), path
