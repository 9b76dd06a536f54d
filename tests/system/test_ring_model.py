"""The ring protocol as a model, searched to the end by spin."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

MODEL = Path(__file__).parent.parent / "model" / "ring.pml"
EVENTS = "-DEVENTS=4"


def search(directory: Path, *definitions: str) -> str:
    """Search every state of the model and return what spin says."""
    for command in (
        ["spin", "-a", EVENTS, *definitions, str(MODEL)],
        ["cc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=3000", "-o", "pan", "pan.c"],
    ):
        subprocess.run(
            command, cwd=directory, check=True, capture_output=True, timeout=60
        )
    result = subprocess.run(
        ["./pan", "-m1000000"],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return result.stdout


@pytest.fixture(autouse=True)
def _spin() -> None:
    assert shutil.which("spin"), "install Debian's package spin"


@pytest.mark.parametrize(
    "definitions",
    [(), ("-DOVERWRITE",), ("-DOBSERVER",), ("-DOVERWRITE", "-DOBSERVER")],
    ids=["drop", "overwrite", "drop, observed", "overwrite, observed"],
)
def test_every_state_keeps_the_claims(
    tmp_path: Path, definitions: tuple[str, ...]
) -> None:
    """No torn record, no lost event, and a ledger that balances, in all states."""
    report = search(tmp_path, *definitions)
    assert "errors: 0" in report
    assert "Search not completed" not in report


@pytest.mark.parametrize(
    "definitions",
    [
        ("-DTAIL_FIRST",),
        ("-DNO_LIMIT",),
        ("-DHEAD_FIRST",),
        ("-DSLOT_IN_PLACE",),
        ("-DOVERWRITE", "-DOLDEST_LATE"),
        ("-DOVERWRITE", "-DNO_RECHECK"),
        ("-DOBSERVER", "-DNO_RECHECK"),
    ],
    ids=" ".join,
)
def test_a_broken_protocol_is_found(
    tmp_path: Path, definitions: tuple[str, ...]
) -> None:
    """Each step of the protocol is needed: without it a claim does not hold."""
    assert "errors: 1" in search(tmp_path, *definitions)
