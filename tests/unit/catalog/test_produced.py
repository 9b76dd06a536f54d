"""No event of the catalog is only a word: something real makes each, in a test."""

import ast
import re
from pathlib import Path

from shmtel import catalog

TESTS = Path(__file__).parents[2]
# What is looked at there came out of the thing itself: a server, a collector, a hook.
REAL = ("e2e", "system", "unit/contrib", "unit/worker", "unit/collector", "unit/hub")


def _texts() -> set[str]:
    """Return every string of those tests and of what supports them."""
    files = [
        path for place in (*REAL, "support") for path in (TESTS / place).rglob("*.py")
    ]
    return {
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_event_is_made_by_something_real() -> None:
    """What an application emits is shown by a line that another test runs."""
    texts = _texts()
    words = {word for text in texts for word in re.split(r"[\s|,]+", text)}
    events = catalog.load().events.values()
    owed = [event for event in events if "application" not in event.emitters]
    assert len(owed) > 20
    missing = [event.name for event in owed if not _is_named(event.name, texts, words)]
    assert missing == []


def _is_named(name: str, texts: set[str], words: set[str]) -> bool:
    """Say whether tests speak of an event, whole or put together from two parts."""
    family, _, last = name.rpartition(".")
    return name in words or (f"{family}." in texts and last in words)
