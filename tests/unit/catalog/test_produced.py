"""No event of the catalog is only a word: something real makes each, in a test.

A test names an event as a whole: a last word that some other test has would say
nothing.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shmtel import catalog

TESTS = Path(__file__).parents[2]
# What is looked at there came out of the thing itself: a server, a collector, a hook.
REAL = ("e2e", "system", "unit/contrib", "unit/worker", "unit/collector", "unit/hub")


def _texts() -> Iterator[str]:
    """Yield every string of those tests and of what supports them, but docstrings."""
    for place in (*REAL, "support"):
        for path in (TESTS / place).rglob("*.py"):
            tree = ast.parse(path.read_text())
            said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and node not in said:
                    yield str(node.value)


def test_each_event_is_made_by_something_real() -> None:
    """What an application emits is shown by a line that another test runs."""
    words = {word for text in _texts() for word in re.split(r"[\s|,]+", text)}
    events = catalog.load().events.values()
    owed = [event for event in events if "application" not in event.emitters]
    assert len(owed) > 20
    missing = [event.name for event in owed if event.name not in words]
    assert missing == []
