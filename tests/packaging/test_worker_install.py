"""A worker pays for nothing that only a collector or a hub needs."""

from pathlib import Path

import pytest

from support.worker_install import make_site, run_python

_LOADED = (
    "import sys, shmtel; print(*sorted({name.split('.')[0] for name in sys.modules}))"
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the packages of a worker install."""
    return make_site(tmp_path)


def test_a_worker_loads_neither_grpc_nor_protobuf(site: Path) -> None:
    """`import shmtel` works without the extras, and loads nothing of theirs."""
    result = run_python(site, "-c", _LOADED)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "shmtel" in loaded
    assert not loaded & {"grpc", "google", "psutil", "msgspec", "click", "uvicorn"}


def test_an_enabled_worker_loads_no_extra(site: Path) -> None:
    """Switched on by the environment, a worker still needs no extra."""
    result = run_python(site, "-c", _LOADED, env={"SHMTEL_ENABLED": "1"})
    assert result.returncode == 0, result.stderr
    assert not set(result.stdout.split()) & {"grpc", "google", "msgspec", "click"}
