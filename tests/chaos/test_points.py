"""The named points: where they are, and what happens there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shmtel import _ring
from support.chaos.patches import NoSuchTarget, find, patch
from support.chaos.points import BY_NAME, CORE, POINTS, Arm, Point
from support.chaos.program import STRIKES, Preparation
from support.chaos.sabotage import SABOTAGES
from support.home import HOME
from support.native_build import NATIVE, core_with_points
from support.processes import run_python
from support.program import clean_environment, fresh_namespace
from support.ring_layout import ControlZone, offset_of

IN_C = [point for point in POINTS if point.target.startswith(CORE)]
IN_PYTHON = [point for point in POINTS if point not in IN_C]


@pytest.mark.parametrize("point", IN_PYTHON, ids=lambda point: point.name)
def test_point_is_in_the_product(point: Point) -> None:
    """What it names is there: a refactoring cannot make it vanish unnoticed."""
    find(point.target)


@pytest.mark.parametrize("point", IN_C, ids=lambda point: point.name)
def test_point_is_in_the_core(point: Point) -> None:
    """So is each point in C."""
    core = NATIVE.parents[1] / "shmtel" / "csrc" / "ring_consumer.c"
    assert re.search(
        rf"RING_POINT\({point.target.removeprefix(CORE)}\)", core.read_text()
    )


def test_points_have_names_of_their_own() -> None:
    """Each is one entry of the table, and no program is without any."""
    assert len(BY_NAME) == len(POINTS)
    assert {point.program for point in POINTS} == {"collector", "hub"}


@pytest.mark.parametrize(
    "target",
    [
        "shmtel_collector.no_such_module:Ring.take",
        "shmtel_collector.ring:NoRing.take",
        "shmtel_collector.ring:Ring.taken",
        "shmtel_collector.ring:NO_EVENTS",
    ],
)
def test_patch_of_what_is_not_there_is_an_error(target: str) -> None:
    """A name that has gone is said, not passed over."""
    with pytest.raises(NoSuchTarget, match=re.escape(target)):
        patch(target, lambda function: function)


@pytest.mark.parametrize("name", SABOTAGES)
def test_sabotage_finds_what_it_breaks(name: str) -> None:
    """Each one patches something that exists."""
    code = f"from support.chaos.sabotage import SABOTAGES; SABOTAGES[{name!r}]()"
    done = _run_python("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def namespace() -> Iterator[str]:
    """Name a namespace of the test's own."""
    with fresh_namespace() as name:
        yield name


def _run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    tests = str(NATIVE.parent)
    return subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(PYTHONPATH=tests),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _run_program(preparation: Preparation, *arguments: str) -> int:
    text = preparation.to_json()
    return _run_python("-m", "support.chaos.program", text, *arguments).returncode


def test_program_without_arms_is_the_program(tmp_path: Path) -> None:
    """Prepared for nothing, it does what it does otherwise."""
    preparation = Preparation("collector", 1, str(tmp_path), "")
    assert _run_program(preparation, "--version") == 0
    assert (tmp_path / STRIKES).read_text() == ""


PASSES = """
import sys
from support.chaos.program import from_json, prepare
prepare(from_json(sys.argv[1]))
from shmtel_collector.discovery import Discovery
for number in range(5):
    print(number, flush=True)
    Discovery.remove(None, "gone")
"""


@pytest.mark.parametrize("passage", [1, 3])
def test_point_kills_at_its_passage(tmp_path: Path, passage: int) -> None:
    """Not before and not after; and it is written down in time."""
    arm = Arm("before_unlink", passage)
    preparation = Preparation("collector", 1, str(tmp_path), "", arms=(arm,))
    harmless = PASSES.replace(
        "prepare(from_json",
        "from shmtel_collector import discovery\n"
        "discovery.Discovery.remove = lambda *_: None\nprepare(from_json",
    )
    done = _run_python("-c", harmless, preparation.to_json())
    assert done.returncode == -9, done.stderr
    assert done.stdout.split() == [str(number) for number in range(passage)]
    assert json.loads((tmp_path / STRIKES).read_text()) == ["collector", arm.point]


SETTLES = """
import sys
from support.chaos.program import from_json, prepare
prepare(from_json(sys.argv[1]))
from shmtel import _ring
from support.own_ring import RingReader
reader = RingReader(sys.argv[2])
consumer = reader.consumer
drained = consumer.drain(1 << 20)
consumer.settle(drained.position, drained.seq_last, [drained.seq_last] + [0] * 31)
"""


def test_point_in_c_kills_between_slot_and_head(tmp_path: Path, namespace: str) -> None:
    """The settlement is in force, and the head does not show it yet."""
    arm = Arm("between_slot_and_head", 1)
    core = str(core_with_points())
    preparation = Preparation("collector", 1, str(tmp_path), core, arms=(arm,))
    run_python("import shmtel; shmtel.emit('a', {'b': 1})", namespace)
    (name,) = HOME.scan(namespace)
    done = _run_python("-c", SETTLES, preparation.to_json(), name)
    assert done.returncode == -9, done.stderr
    fd = HOME.open(name, writable=False)
    zone = 2 * os.sysconf("SC_PAGE_SIZE")  # behind those of identity and producer
    head = os.pread(fd, 8, zone + offset_of(ControlZone, "head"))
    assert int.from_bytes(head, "little") == 0
    assert _ring.observe(fd)["control"]["settled_seq"] == 1
    os.close(fd)
