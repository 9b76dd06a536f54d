"""The programs under docs/, loaded as modules."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


@cache
def load(path: str) -> ModuleType:
    """Load a program by its path under docs/."""
    name = f"docs_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, DOCS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module
