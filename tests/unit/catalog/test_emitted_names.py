"""What the code emits against the catalog."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shmtel import catalog

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*ROOT.glob("shmtel/**/*.py"), *ROOT.glob("collector/**/*.py")])
KNOWN = catalog.load()
_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)+")
_FILES = (".sock",)


def _names(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the literals that look like events of shmtel.

    Options of gRPC's channels do too; they stand in front of a value, in pairs.
    """
    options = {
        pair.elts[0]
        for pair in ast.walk(tree)
        if isinstance(pair, ast.Tuple) and len(pair.elts) == 2
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
            is_option = name.startswith("grpc.") and node in options
            if _NAME.fullmatch(name) and KNOWN.is_reserved(name) and not is_option:
                yield node


def test_every_name_in_the_code_is_in_the_catalog() -> None:
    """Each literal in a namespace of ours is an event, or the operation of a span."""
    found = set()
    for path in SOURCES:
        for node in _names(ast.parse(path.read_text())):
            name = str(node.value)
            if name.endswith(_FILES):
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno}: {name}"
            assert KNOWN.entry(name) or KNOWN.entry(f"{name}.start"), where
            found.add(name)
    assert {"pool.worker.terminated", "policy.changed", "guard.loaded"} <= found


def _literal_keys(node: ast.expr) -> Iterator[str]:
    """Yield the keys of a dictionary, or of several that are put together by `|`."""
    if isinstance(node, ast.BinOp):
        yield from _literal_keys(node.left)
        yield from _literal_keys(node.right)
    elif isinstance(node, ast.Dict):
        for key in node.keys:
            if isinstance(key, ast.Constant):
                yield str(key.value)


def test_every_key_at_a_call_is_in_the_catalog() -> None:
    """Where an event's name and keys stand in one call, all of them are known."""
    seen = 0
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or len(node.args) < 3:
                continue
            name, measurements, metadata = node.args[:3]
            entry = isinstance(name, ast.Constant) and KNOWN.entry(str(name.value))
            if not entry:
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            assert set(_literal_keys(measurements)) <= set(entry.measurements), where
            assert set(_literal_keys(metadata)) <= set(entry.metadata), where
            seen += 1
    assert seen
