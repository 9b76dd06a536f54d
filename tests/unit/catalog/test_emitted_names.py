"""What the code emits against the catalog."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shmtel import catalog
from shmtel.catalog_entries import EventEntry
from support.emitted_calls import Project

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*ROOT.glob("shmtel/**/*.py"), *ROOT.glob("collector/**/*.py")])
KNOWN = catalog.load()
# How far keys are followed: by each of these ways one is found.
FOLLOWED = {
    ("pool.worker.booted", "start_up"),  # it is at the call
    ("python.error.occurred", "location"),  # a variable, and a constant for the name
    ("pool.queue.timeout", "reason"),  # set by itself
    ("pool.worker.exited", "lifetime"),  # added by `|`
    ("pool.worker.exited", "subject_pool"),  # returned by a method
    ("pool.status", "subject_pool"),  # returned by a function of another module
    ("pool.worker.spawn_failed", "signal"),  # in a dictionary in another
    ("grpc.connection.lost", "target"),  # in an attribute
    ("grpc.stream.closed", "status"),  # of several constants in one assignment
}
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


def _entries(name: str) -> list[EventEntry]:
    """Return the event of a name, or the events of the span of that operation."""
    if not KNOWN.is_reserved(name):
        return []
    names = (name, *(f"{name}.{end}" for end in ("start", "stop", "exception")))
    return [entry for each in names if (entry := KNOWN.entry(each))]


def test_every_key_at_a_call_is_in_the_catalog() -> None:
    """Where an event is emitted, the keys that can be told from there are known."""
    seen = set[tuple[str, str]]()
    project = Project([ROOT, ROOT / "collector"])
    for emission in project.emissions(lambda name: bool(_entries(name))):
        entries = _entries(emission.name)
        known = {
            key for each in entries for key in (*each.measurements, *each.metadata)
        }
        for keys in emission.maps:
            assert keys <= known, (emission.where, emission.name, keys - known)
            seen |= {(emission.name, key) for key in keys}
    assert seen >= FOLLOWED, FOLLOWED - seen
