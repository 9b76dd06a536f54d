"""What the program says in an installation that lacks an extra."""

from pathlib import Path

import pytest

from shmtel.cli.errors import EXTRAS, missing_extra
from support.worker_install import link_distribution, make_site, run_python


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return the packages of a worker install."""
    return make_site(tmp_path)


@pytest.mark.parametrize("verb", sorted(EXTRAS))
def test_a_worker_install_names_the_extra_of_each_verb(site: Path, verb: str) -> None:
    """Without click each verb says what to install, exits 2, prints no traceback."""
    result = run_python(site, "-m", "shmtel.cli", verb)
    assert result.returncode == 2
    assert f'pip install "shmtel[{EXTRAS[verb]}]"' in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_worker_install_without_a_verb_names_an_extra_too(site: Path) -> None:
    """Even the bare program answers with the cure."""
    result = run_python(site, "-m", "shmtel.cli")
    assert result.returncode == 2
    assert 'pip install "shmtel[all]"' in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("hub",), ("collector",), ("ctl", "toggle", "on"), ("demo",)],
    ids=lambda arguments: arguments[0],
)
def test_click_alone_is_not_enough(site: Path, arguments: tuple[str, ...]) -> None:
    """With click but no grpc a verb that needs grpc names its extra."""
    link_distribution(site, "click")
    result = run_python(site, "-m", "shmtel.cli", *arguments)
    assert result.returncode == 2
    assert f"shmtel[{EXTRAS[arguments[0]]}]" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_works_without_grpc(site: Path) -> None:
    """Help loads every verb, and no verb loads its extra for that."""
    link_distribution(site, "click")
    result = run_python(site, "-m", "shmtel.cli", "--help")
    assert result.returncode == 0, result.stderr
    assert all(verb in result.stdout for verb in EXTRAS)


def test_a_module_of_no_extra_is_a_defect() -> None:
    """A missing module that no extra brings is raised, not explained away."""
    error = ModuleNotFoundError("No module named 'ringg'", name="ringg")
    with pytest.raises(ModuleNotFoundError):
        missing_extra(["stat"], error)


def test_an_option_that_needs_more_than_its_verb() -> None:
    """It names the extra of its own."""
    error = ImportError("no pyarrow", name="pyarrow")
    assert 'pip install "shmtel[parquet]"' in missing_extra(["hub"], error)
