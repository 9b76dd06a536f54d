"""Where values stand in a TOML document."""

import pytest

from shmtel.toml_lines import TomlLines, Where

DOCUMENT = '''\
# a comment
limits.keys = 3

[events."a.b"]
summary = """
metadata = ["not this one"]
[nor.this]
"""
measurements = { wait = "ns", total = "EUR" }
metadata = [
  "one",  # "two" stands on the next line
  "two",
  3,
]

[[modes]]
pattern = "a.*"
[[modes]]
pattern = "b.*"

[families]
"x.*".metadata = ["tenant"]
'''


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("limits", "keys"), 2),
        (("events", "a.b"), 4),
        (("events", "a.b", "summary"), 5),
        (("events", "a.b", "measurements", "total"), 9),
        (("events", "a.b", "metadata"), 10),
        (("events", "a.b", "metadata", 0), 11),
        (("events", "a.b", "metadata", 2), 13),
        (("modes", 0), 16),
        (("modes", 1, "pattern"), 19),
        (("families", "x.*", "metadata", 0), 22),
        (("events", "a.b", "what", "is", "not", "there"), 4),
        (("nothing",), 1),
    ],
    ids=str,
)
def test_a_value_is_found(where: Where, line: int) -> None:
    """At the line on which it is written, or what is around it."""
    assert TomlLines(DOCUMENT).line_of(where) == line


def test_an_array_of_tables_may_hold_tables() -> None:
    """A header below an element is found at that element at least."""
    text = '[[modes]]\npattern = "a"\n[modes.more]\nx = 1\n[[modes]]\ny = 2\n'
    lines = TomlLines(text)
    assert lines.line_of(("modes", 1, "y")) == 6
    assert lines.line_of(("modes", 0, "more")) == 1
