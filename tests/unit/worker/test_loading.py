"""Acting when a module is loaded: imports go on as if nobody had waited."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from shmtel import loading

LATE = "shmtel_test_late"


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that nothing has loaded."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"{LATE}.py"
    path.write_text("loader = __loader__, __spec__.loader\n")
    importlib.invalidate_caches()
    finders = list(sys.meta_path)
    yield path
    loading.wait_no_more()
    sys.modules.pop(LATE, None)
    assert sys.meta_path == finders


def test_module_that_is_there() -> None:
    """It is acted on at once, and no import is looked at."""
    finders = list(sys.meta_path)
    seen: list[ModuleType] = []
    loading.when_loaded("sys", seen.append)
    assert seen == [sys]
    assert sys.meta_path == finders


def test_module_that_comes_later(late: Path) -> None:
    """It is acted on when it is whole, once, and has the loader that it would have."""
    seen: list[str] = []
    loading.when_loaded(LATE, lambda module: seen.append(module.loader[0].name))
    module = importlib.import_module(LATE)
    assert seen == [LATE]
    assert type(module.__loader__) is SourceFileLoader
    assert set(module.loader) == {module.__loader__}
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    importlib.reload(module)
    assert seen == [LATE]


def test_module_that_is_only_looked_for(late: Path) -> None:
    """Who asks whether it is there, as programs do of uvloop, ends no wait."""
    seen: list[ModuleType] = []
    loading.when_loaded(LATE, seen.append)
    assert find_spec(LATE) is not None
    assert seen == []
    module = importlib.import_module(LATE)
    assert seen == [module]


def test_module_that_fails_at_first(late: Path) -> None:
    """Its error is the program's, and the import that works is acted on."""
    seen: list[ModuleType] = []
    text = late.read_text()
    late.write_text("1 / 0")
    loading.when_loaded(LATE, seen.append)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(LATE)
    late.write_text(text)
    importlib.invalidate_caches()
    module = importlib.import_module(LATE)
    assert seen == [module]


def test_wait_that_is_over_before_the_module_is_loaded(late: Path) -> None:
    """Nothing is done for somebody who has ceased to wait in the middle."""
    seen: list[ModuleType] = []
    loading.when_loaded(LATE, seen.append)
    late.write_text("from shmtel import loading\nloading.wait_no_more()\n")
    importlib.import_module(LATE)
    assert seen == []


def test_module_that_cannot_be_imported(late: Path) -> None:
    """Its errors are Python's own; a later import that works is still waited for."""
    seen: list[ModuleType] = []
    loading.when_loaded(LATE, seen.append)
    text = late.read_text()
    late.rename(late.with_suffix(".away"))
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError, match=LATE):
        importlib.import_module(LATE)
    late.write_text(text)
    importlib.invalidate_caches()
    assert seen == []
    module = importlib.import_module(LATE)
    assert seen == [module]


def test_module_that_raises_while_it_is_loaded(late: Path) -> None:
    """What it raises comes out, and nothing is done to half a module."""
    late.write_text("1 / 0")
    seen: list[ModuleType] = []
    loading.when_loaded(LATE, seen.append)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(LATE)
    assert seen == []


def test_finder_that_asks_all_finders(late: Path) -> None:
    """Others do as we do; two that ask each other do not ask for ever."""

    class Asking:
        """Asks everybody, as finders of other tools do."""

        is_asking = False

        def find_spec(
            self, name: str, path: Sequence[str] | None, target: ModuleType | None
        ) -> ModuleSpec | None:
            """Find what the others find."""
            if self.is_asking:
                return None
            self.is_asking = True
            try:
                return find_spec(name)
            finally:
                self.is_asking = False

    seen: list[ModuleType] = []
    asking = [Asking(), Asking()]
    sys.meta_path.insert(0, asking[0])
    loading.when_loaded(LATE, seen.append)
    sys.meta_path.insert(0, asking[1])
    try:
        assert [importlib.import_module(LATE)] == seen
    finally:
        for each in asking:
            sys.meta_path.remove(each)
