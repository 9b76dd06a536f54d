"""Acts when a module is loaded, without loading it.

asyncio takes longer to import than all of a worker's telemetry; a process that
does not use it must not pay for it, and one that does imports it whenever it
likes. So a finder stands before those of the program: for a module that is waited
for it asks the others, and has the loader that they name act once more. To be found
is not to be loaded: who only asks whether there is such a module ends no wait.

Rules: nothing raises into an import; the module looks as if nobody had waited; a
module that was never imported costs each import one look into a dict.
"""

import sys
from _thread import get_ident  # of all modules, `threading` is one that is waited for
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_Act = Callable[[ModuleType], None]


def when_loaded(name: str, act: _Act) -> None:
    """Call a function with a module: now if it is there, else when it is loaded."""
    module = sys.modules.get(name)
    if module is None:
        _finder.waiting[name] = act
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
    else:
        act(module)


def wait_no_more() -> None:
    """Forget what was to be done, and leave the imports of the program alone."""
    _finder.waiting.clear()
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


class _Finder:
    """Finds what is waited for by asking the finders behind it."""

    def __init__(self) -> None:
        self.waiting: dict[str, _Act] = {}
        self._asking: set[tuple[int, str]] = set()

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a module that is waited for; others are no business of ours."""
        if name not in self.waiting:
            return None
        asking = get_ident(), name
        if asking in self._asking:  # one of the others asks us again
            return None
        self._asking.add(asking)
        try:
            spec = self._ask_others(name, path, target)
        finally:
            self._asking.discard(asking)
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader, self)
            spec.loader = loader
        return spec

    def act(self, module: ModuleType) -> None:
        """Do what waits for a module that has come, if it still does."""
        act = self.waiting.pop(module.__name__, None)
        if act is not None:
            act(module)

    def _ask_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader:
    """Loads a module as its own loader does, and then acts."""

    def __init__(self, loader: Any, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        """Be the module's own loader for whoever asks for more."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as its own loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module, which sees its own loader, and act."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._finder.act(module)


_finder = _Finder()
