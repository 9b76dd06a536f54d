"""Makes docs/reference/layout.md from the header of the ring.

    python docs/make_layout.py > docs/reference/layout.md

The header is the contract, and this page is the header for those who do not read
C: its opening comment section by section, its constants, and a table for each
structure. Offsets are computed here, from the types, and compared with those of
the compiler by tests/docs/test_layout_page.py.

Rules: nothing but the standard library, and no sentence of its own that says what
a ring is.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER = Path(__file__).parents[1] / "shmtel" / "csrc" / "ring_layout.h"
INTRODUCTION = """# The layout of a ring

This page is made from `shmtel/csrc/ring_layout.h` by `make layout`; change the header, not the page.
It is all that a reader of rings needs, in whatever language: [a reader in a hundred lines of Python](../examples/read_ring.py) was written from it alone.
Why each store and load has the order that it has is told in [memory orders](../design/0015-memory-orders.md).
"""
_SIZES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a structure; a remark on several has no name."""

    name: str
    kind: str
    offset: int
    size: int
    comment: str


class Layout:
    """The header, read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.constants: dict[str, tuple[int, str]] = {}
        self.structures: dict[str, tuple[str, list[Field]]] = {}
        self._sizes = {name: (size, size) for name, size in _SIZES.items()}
        self._read_constants()
        self._read_structures()

    # -- constants ---------------------------------------------------------------

    def _read_constants(self) -> None:
        pattern = (
            r"(?:^/\*((?:(?!\*/|\n\n).)*)\*/\n)?"
            r"^#define (RING_\w+) ([^\\/\n]+?)(?: */\*(.*?)\*/)?$"
        )
        for above, name, value, behind in re.findall(pattern, self._text, re.M | re.S):
            text = behind if above.startswith(" Words.") else behind or above
            self.constants[name] = self.evaluate(value), joined(text)

    def evaluate(self, text: str) -> int:
        """Compute an expression of numbers and constants."""
        text = re.sub(r"UINT64_C\((\w+)\)", r"\1", text)
        text = re.sub(r"\b(0x[0-9A-Fa-f]+|\d+)u\b", r"\1", text)
        return self._value(ast.parse(text.strip(), mode="eval").body)

    def _value(self, node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(value)):
                return value
            case ast.Name(id="UINT64_MAX"):
                return 2**64 - 1
            case ast.Name(id=name):
                return self.constants[name][0]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._value(left) + self._value(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._value(left) - self._value(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self._value(left) * self._value(right)
            case ast.BinOp(left=left, op=ast.LShift(), right=right):
                return self._value(left) << self._value(right)
        raise ValueError(ast.unparse(node))

    # -- structures --------------------------------------------------------------

    def _read_structures(self) -> None:
        pattern = r"(?:/\*((?:(?!\*/).)*)\*/\n)?^struct (\w+) \{\n(.*?)^\};"
        for comment, name, body in re.findall(pattern, self._text, re.M | re.S):
            self.structures[name] = joined(comment), list(self._fields(name, body))

    def _fields(self, structure: str, body: str) -> Iterator[Field]:
        offset, widest = 0, 1
        # A field with the comment behind it, or a comment of its own line.
        pattern = (
            r"^    (?:(?:_Atomic )?([\w ]+?) (\w+)(?:\[(\w*)\])?;)?(?: */\*(.*?)\*/)?$"
        )
        for kind, name, count, comment in re.findall(pattern, body, re.M | re.S):
            size, align = self._sizes.get(kind.removeprefix("struct "), (0, 1))
            if not name:
                if comment:
                    yield Field("", "", 0, 0, joined(comment))
                continue
            if size == 0:
                raise ValueError(f"{structure}.{name}: of what size is {kind}?")
            offset = -(-offset // align) * align
            whole = size * (self.evaluate(count) if count else 1)
            shown = kind.removeprefix("struct ").removesuffix("_t")
            is_open = f"{name}[]" in body
            if is_open:
                whole = 0
            yield Field(
                name,
                f"{shown}[{count}]" if count or is_open else shown,
                offset,
                whole,
                joined(comment),
            )
            offset, widest = offset + whole, max(widest, align)
        self._sizes[structure] = -(-offset // widest) * widest, widest

    def size_of(self, structure: str) -> int:
        """Return the bytes of a structure."""
        return self._sizes[structure][0]

    # -- prose and catalogues ----------------------------------------------------

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield title and text of each section of the opening comment."""
        comment = self._text[: self._text.index("*/")]
        lines = [line.removeprefix(" *")[1:] for line in comment.splitlines()[2:]]
        text = "\n".join(lines)
        parts = re.split(r"^([A-Z][A-Z ]+[A-Z])(,.*)?$", text, flags=re.M)
        yield "", parts[0]
        for title, rest, prose in zip(*[iter(parts[1:])] * 3, strict=True):
            yield title.capitalize() + (rest or ""), prose

    def catalogue(self, name: str) -> list[list[str]]:
        """Return the rows of an X macro."""
        match = re.search(rf"^#define {name}\(X\)(.*?[^\\])$", self._text, re.M | re.S)
        assert match is not None
        rows = re.findall(r"X\((.*?)\)\s*(?:\\|$)", match[1], re.M)
        return [[cell.strip().strip('"') for cell in row.split(",", 3)] for row in rows]

    def enumerations(self) -> Iterator[tuple[object, ...]]:
        """Yield what is numbered one by one."""
        pattern = r"^enum (\w+) \{ (.*?) \};$"
        for name, members in re.findall(pattern, self._text, re.M):
            for member in members.split(", "):
                word, number = member.split(" = ")
                yield f"`{name}`", number, f"`{word}`"

    def words(self) -> str:
        """Return the comment that explains the words."""
        match = re.search(r"^/\* Words\. (.*?)\*/", self._text, re.M | re.S)
        assert match is not None
        return match[1]


def joined(comment: str) -> str:
    """Return a comment as one line."""
    return " ".join(re.sub(r"^ \*", " ", comment, flags=re.M).split())


def prose(text: str) -> Iterator[str]:
    """Yield paragraphs, a sentence to a line; what is indented stays as it is."""
    for block in re.split(r"\n\n+(?! )", text.strip("\n")):
        is_drawn = False
        lines: list[str] = []
        for line in block.split("\n"):
            if is_drawn != (line.startswith("  ") or (is_drawn and not line)):
                yield from shown(lines, is_drawn)
                is_drawn, lines = not is_drawn, []
            lines.append(line)
        yield from shown(lines, is_drawn)


def shown(lines: list[str], is_drawn: bool) -> Iterator[str]:
    """Yield a drawing, or a paragraph."""
    text = "\n".join(lines).strip("\n")
    if text and is_drawn:
        yield f"```text\n{text}\n```"
    elif text:
        yield re.sub(r"(?<=[.!?:]) (?=[A-Z`])", "\n", " ".join(text.split()))


def place_of(field: Field) -> tuple[object, ...]:
    """Return offset, size and type; a remark has none."""
    if not field.name:
        return "", "", ""
    return field.offset, field.size or "", field.kind


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Draw a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def page(layout: Layout) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION.strip()]
    for title, text in layout.sections():
        parts += [f"## {title}"] if title else []
        parts += prose(text)
    parts += ["## Constants"]
    constants = [
        (f"`{name}`", value if value < 1 << 20 else f"`{value:#x}`", comment)
        for name, (value, comment) in layout.constants.items()
    ]
    parts += [table(("name", "value", "remark"), constants)]
    parts += ["## Words", *prose(joined(layout.words()))]
    parts += catalogues(layout)
    for name, (comment, fields) in layout.structures.items():
        parts += [f"## struct {name}", *prose(comment)]
        parts += [f"{layout.size_of(name)} bytes." if name != "ring_record" else ""]
        rows = [
            (*place_of(field), f"`{field.name}`" if field.name else "", field.comment)
            for field in fields
        ]
        parts += [table(("offset", "size", "type", "field", "remark"), rows)]
    return "\n\n".join(filter(None, parts)) + "\n"


def catalogues(layout: Layout) -> list[str]:
    """Return the tables of the numbered reasons."""
    dropped = [
        (number, f"`{row[1]}`", ", ".join(row[2:]).strip(' "'))
        for number, row in enumerate(layout.catalogue("RING_DROP_REASONS"))
    ]
    outcomes = [
        (row[0], f"`{row[2]}`", f"`{row[3]}`")
        for row in layout.catalogue("RING_OUTCOMES")
    ]
    return [
        "## States and modes",
        table(("of", "number", "name"), list(layout.enumerations())),
        "## Drop reasons",
        table(("index", "reason", "why"), dropped),
        "## Outcomes",
        table(("index", "word", "reason"), outcomes),
    ]


if __name__ == "__main__":
    sys.stdout.write(page(Layout(HEADER.read_text())))
