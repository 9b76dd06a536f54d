"""The units for systemd, judged by its own tool."""

import subprocess
from pathlib import Path

import pytest

from support.program import PROGRAM, shmtel

pytestmark = pytest.mark.system
UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
EXPECTED = "/opt/shmtel/bin/shmtel"


def verify(unit: Path) -> subprocess.CompletedProcess[str]:
    """Have a unit judged."""
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("verb", ["hub", "collector"])
def test_systemd_finds_no_fault(verb: str, tmp_path: Path) -> None:
    """Every key and value is one, and the program and its verb exist."""
    text = (UNITS / f"shmtel-{verb}.service").read_text()
    assert f"ExecStart={EXPECTED} {verb}" in text
    unit = tmp_path / f"shmtel-{verb}.service"
    unit.write_text(text.replace(EXPECTED, str(PROGRAM)))
    judged = verify(unit)
    about_ours = [line for line in judged.stderr.splitlines() if unit.name in line]
    assert (judged.returncode, about_ours) == (0, [])
    assert shmtel(verb, "--help").returncode == 0


def test_a_key_that_is_none_is_found(tmp_path: Path) -> None:
    """The tool does look."""
    unit = tmp_path / "shmtel-hub.service"
    unit.write_text(f"[Service]\nExecStart={PROGRAM} hub\nProtectHoem=yes\n")
    judged = verify(unit)
    assert "ProtectHoem" in judged.stderr
