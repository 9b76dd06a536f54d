"""The page about memory orders names each order of the core, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "design" / "0015-memory-orders.md"

# One use: file, function, field (or fence), operation, order.
Use = tuple[str, str, str, str, str]

_FUNCTION = re.compile(r"^[a-z][^;=]*?\b(\w+)\([^;]*$", re.M)
# An order by its own name, or by the protocol's: RING_TAIL_RELEASE.
_ORDER = re.compile(r"\bmemory_order_(\w+)|\bRING_\w+_(ACQUIRE|RELEASE)\b")
_CALL = re.compile(r"\batomic_(\w+)\(((?:[^()]|\([^()]*\))*)\)")


def uses(path: Path) -> Iterator[Use]:
    """Yield the orders in a file of C."""
    text = path.read_text()
    for call in _CALL.finditer(text):
        orders = [(own or named).lower() for own, named in _ORDER.findall(call[2])]
        if not orders:
            continue
        *_, function = _FUNCTION.finditer(text, 0, call.start())
        operation = call[1].removesuffix("_explicit")
        target = call[2].split(",")[0]
        field = "fence" if "fence" in operation else _last_name(target)
        yield path.name, function[1], field, operation, " ".join(orders)


def _last_name(expression: str) -> str:
    """Return the field that a pointer leads to."""
    without_index = re.sub(r"\[[^]]*\]", "", expression)
    return re.findall(r"\w+", without_index)[-1]


def in_the_core() -> set[Use]:
    """Return every use in the files that know what a ring is."""
    files = sorted((ROOT / "shmtel" / "csrc").glob("ring_*.[ch]"))
    return {use for file in files for use in uses(file)}


def on_the_page() -> set[Use]:
    """Return what the table has in its first columns."""
    rows = re.findall(r"^\| `(ring_\w+\.[ch])` (.*) \|$", PAGE.read_text(), re.M)
    cells = [[file, *re.findall(r"`([^`]+)`", rest)] for file, rest in rows]
    return {(row[0], row[1], row[2], row[3], row[4]) for row in cells}


def test_every_order_of_the_core_is_on_the_page() -> None:
    """Whoever adds an atomic access says there what it is for."""
    assert in_the_core() - on_the_page() == set()


def test_no_order_on_the_page_has_gone() -> None:
    """Whoever removes one removes its line."""
    assert on_the_page() - in_the_core() == set()


def test_no_order_escapes_the_search() -> None:
    """As many calls are found as the files have names of orders in code."""
    for file in sorted((ROOT / "shmtel" / "csrc").glob("ring_*.[ch]")):
        code = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
        found = [order for use in uses(file) for order in use[4].split()]
        assert len(found) == len(_ORDER.findall(code)), file.name


def test_what_the_page_names_exists() -> None:
    """The tests and files that it says hold an order are there."""
    for path in re.findall(r"\]\((\.\./\.\./[^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / path).exists(), path
