"""The page about the layout is the header, and the header is what is compiled."""

from shmtel._ring import LAYOUT, OUTCOMES
from support.docs_program import DOCS, load

maker = load("make_layout.py")
layout = maker.Layout(maker.HEADER.read_text())
page = (DOCS / "reference" / "layout.md").read_text()


def test_the_page_is_made_from_the_header() -> None:
    """Whoever changes the header makes the page again, by `make layout`."""
    assert page == maker.page(layout)


def test_the_offsets_are_the_compiler_s() -> None:
    """Each field and size of a structure that the compiled module knows."""
    computed = {
        f"{structure}.{field.name}": field.offset
        for structure, (_, fields) in layout.structures.items()
        for field in fields
    } | {f"sizeof {name}": layout.size_of(name) for name in layout.structures}
    compiled = {key: value for key, value in LAYOUT.items() if "ring_" in key}
    assert compiled.items() <= computed.items()
    assert {key.split(".")[0] for key in compiled if "." in key} == set(
        layout.structures
    )


def test_the_constants_are_the_compiler_s() -> None:
    """Each constant that the compiled module knows."""
    compiled = {key: value for key, value in LAYOUT.items() if "RING_" in key}
    computed = {name: value for name, (value, _) in layout.constants.items()}
    assert compiled.items() <= computed.items()


def test_every_outcome_is_on_the_page() -> None:
    """With its number, word and reason."""
    for number, (word, reason) in OUTCOMES.items():
        assert f"| {number} | `{word}` | `{reason}` |" in page


def test_the_zones_stand_in_a_table() -> None:
    """Each zone has a line of its own in the drawing of the file."""
    drawing = page.split("## The file")[1].split("```")[1]
    zones = [line.split()[1] for line in drawing.splitlines()[2:] if line]
    assert zones == ["identity", "producer", "control", "names", "data"]
