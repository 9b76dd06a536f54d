"""A catalog that is wrong: file, line, and the cure."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtel import catalog
from shmtel.errors import ConfigurationError

Write = Callable[..., Path]
LONG = "x" * 256


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # what tomllib refuses
        ("[events\n", 1, ("no TOML", "column")),
        ("a = [1,\n", 1, ("no TOML",)),
        ('[events."a"]\n\n[events."a"]\n', 3, ("twice",)),
        ("[limits]\nkeys = " + "9" * 5000 + "\n", 2, ("too many digits",)),
        ("a = " + "[" * 5000 + "]" * 5000 + "\n", 1, ("nested too deeply",)),
        # keys and words
        ("[event]\n", 1, ("'event'", "did you mean 'events'?")),
        ("reserved = []\n", 1, ("'reserved'", "known: limits, modes")),
        ('[events."a"]\n\nmeasurments = {}\n', 3, ("did you mean 'measurements'?",)),
        ('[spans."a"]\nkind = "point"\n', 2, ("'kind'",)),
        ('[events."a"]\nlayer = "bridges"\n', 2, ("did you mean 'bridge'?",)),
        ('[events."a"]\nkind = 3\n', 2, ("known: point",)),
        ('[events."a"]\nemitters = ["hub",\n"me"]\n', 3, ("'me'", "known: worker")),
        ('[[modes]]\npattern = "a"\nmode = "drop"\n', 3, ("reject, strip, pass",)),
        ('[[modes]]\npattern = "a"\n', 1, ("no `mode`",)),
        ("[limits]\nkey = 5\n", 2, ("did you mean 'keys'?",)),
        # values
        ("events = 5\n", 1, ("table", "5")),
        ("[events]\na = 5\n", 2, ("table", "5")),
        ('[events."a"]\nmeasurements = ["b"]\n', 2, ("table",)),
        ('[events."a"]\nmeasurements = { b = 1 }\n', 2, ("text in quotes, not 1",)),
        ('[events."a"]\nmeasurements = { b = "' + "n" * 33 + '" }\n', 2, ("unit",)),
        ('[events."a"]\nmetadata = "b"\n', 2, ("list",)),
        ('[events."a"]\nmetadata = [\n"b",\n5,\n]\n', 4, ("text in quotes, not 5",)),
        ('[events."a"]\nmetadata = [\n"b",\n"c",\n"b"]\n', 5, ("twice; remove one",)),
        ('[events."a"]\nsummary = ""\n', 2, ("printable",)),
        ("[modes]\nx = 1\n", 1, ("[[modes]]",)),
        ("[limits]\ndepth = 9\n", 2, ("from 1 to 8, not 9",)),
        ("[limits]\ndepth = true\n", 2, ("not True",)),
        ("[limits]\nkeys = 0x" + "f" * 6000 + "\n", 2, ("a very long number",)),
        # names
        ('\n[events."a\\u0007"]\n', 2, ("printable",)),
        ('[events.""]\n', 1, ("printable",)),
        (f'[events."{LONG}"]\n', 1, ("255 bytes", "shorten")),
        (f'[spans."{LONG[:250]}"]\n', 1, ("255 bytes",)),
        ('[events."a.*"]\n', 1, ("write [families]",)),
        ('[events."a"]\nmetadata = ["\\u202e"]\n', 2, ("printable",)),
        # what contradicts
        (
            '[events."tool.result_size"]\nmeasurements = { bytes = "KiB" }\n',
            2,
            ("'bytes' already, not in 'KiB'", "choose another key"),
        ),
        (
            '[families."tool.*"]\nmeasurements = { duration = "s" }\n',
            2,
            ("tool.execution.stop", "'ns' already"),
        ),
        (
            '[spans."a"]\nmeasurements = { duration = "s" }\n',
            2,
            ("`duration` of a span is in 'ns'",),
        ),
        (
            '[events."tool.result_size"]\nsummary = "Mine."\n',
            2,
            ("`summary`", "change nothing"),
        ),
        ('[events."guard.loaded"]\nhow = "It."\n', 2, ("`how`", "change nothing")),
        ('[events."a"]\nmetadata = ["node"]\n', 2, ("user.node", "another key")),
        ('[families."tol.*"]\nmetadata = ["b"]\n', 1, ("no event matches 'tol.*'",)),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told(
    write: Write, text: str, line: int, words: tuple[str, ...]
) -> None:
    """The error begins with file and line, and says what to do."""
    path = write(text)
    with pytest.raises(ConfigurationError) as caught:
        catalog.load([path])
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert [word for word in words if word not in message] == []
    assert len(message) < 600
    assert message.isprintable()


def test_a_contradiction_names_the_later_file(write: Write) -> None:
    """Two files of a user, of which each is right by itself."""
    first = write('[events."a"]\nmeasurements = { b = "s" }\n')
    second = write('[events."a"]\nmeasurements = { b = "ms" }\n', "second.toml")
    with pytest.raises(ConfigurationError, match=re.escape(f"{second}:2: ")):
        catalog.load([first, second])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("", '[events."pool.worker.mine"]\nmeasurements = { left_out = "s" }\n'),
        ("", '[events."pool.worker.ready"]\nmeasurements = { left_out = "s" }\n'),
        (
            '[events."a.b"]\n[families."a.*"]\nmeasurements = { c = "ns" }\n',
            '[events."a.d"]\nmeasurements = { c = "s" }\n',
        ),
        (
            '[events."a.b"]\nmeasurements = { c = "ns" }\n',
            '[families."a.*"]\nmeasurements = { c = "s" }\n',
        ),
    ],
)
def test_families_do_not_blame_others(write: Write, first: str, second: str) -> None:
    """The file that comes later is wrong, whichever of both holds the family."""
    paths = [write(first), write(second, "second.toml")]
    with pytest.raises(ConfigurationError, match=re.escape(f"{paths[1]}:2: ")):
        catalog.load(paths)


def test_bytes_that_are_no_text_are_refused(write: Write) -> None:
    """With the line on which they stand."""
    path = write("")
    path.write_bytes(b"# one\n# \xff\n")
    with pytest.raises(ConfigurationError, match=f"{path}:2: .*UTF-8"):
        catalog.load([path])


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """One that is missing, a directory, a pipe that nobody writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / "missing", tmp_path, pipe, Path("a\0b")):
        with pytest.raises(ConfigurationError, match="correct SHMTEL_CATALOG"):
            catalog.load([path])


def test_a_file_that_is_too_large_is_refused(write: Write) -> None:
    """Before it is parsed."""
    path = write("#" * ((1 << 20) + 1))
    with pytest.raises(ConfigurationError, match="at most 1 MiB"):
        catalog.load([path])


_words = st.sampled_from(
    ["events", "modes", "a.b", "metadata", "measurements", "pattern", "mode", "pass"]
)
_values = st.recursive(
    _words.map(lambda w: f'"{w}"')
    | st.sampled_from(["1", "true", "nan", "1979-05-27"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(_words, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f'"{k}" = {v}' for k, v in d.items()) + "}"
        )
    ),
    max_leaves=8,
)
_lines = st.one_of(
    st.tuples(_words, _words).map(
        lambda w: f'[{w[0]}."{w[1]}"]' if "." not in w[0] else ""
    ),
    st.just("[[modes]]"),
    st.just("[limits]"),
    st.tuples(_words, _values).map(lambda w: f'"{w[0]}" = {w[1]}'),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)


@given(st.lists(_lines, max_size=8).map("\n".join))
def test_any_file_is_a_catalog_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """With a line that the file has, and no other error."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, newline="")
    try:
        catalog.load([path])
    except ConfigurationError as error:
        found = re.match(re.escape(str(path)) + r":(\d+): ", str(error))
        assert found
        assert 1 <= int(found[1]) <= text.count("\n") + 1
