"""What the built distribution holds, read from the installed one's record."""

from importlib import metadata
from pathlib import Path, PurePosixPath

import shmtel
import shmtel_collector


def _packaged() -> list[PurePosixPath]:
    files = metadata.files("shmtel")
    assert files, "shmtel is not an installed distribution"
    return [
        PurePosixPath(file)
        for file in files
        if not file.parts[0].endswith(".dist-info") and "__pycache__" not in file.parts
    ]


def test_the_tests_run_against_an_installed_build() -> None:
    """Both packages come from site-packages, never from the checkout."""
    for package in (shmtel, shmtel_collector):
        assert "site-packages" in Path(package.__file__).parts


def test_top_level_names_are_the_two_packages() -> None:
    """The wheel adds two import names, and one program, to an environment."""
    names = {file.parts[0] for file in _packaged() if file.parts[0] != ".."}
    assert names == {"shmtel", "shmtel_collector"}
    programs = [file.name for file in _packaged() if file.parts[0] == ".."]
    assert programs == ["shmtel"]


def test_no_sources_of_the_core_are_shipped() -> None:
    """The wheel holds the compiled core and its types, and no C."""
    suffixes = {file.suffix for file in _packaged() if file.parts[0] != ".."}
    assert not suffixes & {".c", ".h", ".proto"}
    assert ".so" in suffixes


def test_the_types_are_shipped() -> None:
    """A type checker finds the marker and the stub of the core."""
    assert {PurePosixPath("shmtel/py.typed"), PurePosixPath("shmtel/_ring.pyi")} <= set(
        _packaged()
    )


def test_the_catalog_is_shipped() -> None:
    """Beside the module that reads it."""
    assert PurePosixPath("shmtel/catalog.toml") in _packaged()
