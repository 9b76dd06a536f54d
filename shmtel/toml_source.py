"""A TOML file from outside, and its values, each judged when it is asked for.

Rules: every error is a ConfigurationError that names the file, the line, what is
wrong and the cure; nothing in a file makes an error longer than some lines.
"""

import re
import reprlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shmtel.errors import ConfigurationError
from shmtel.policy.tables import nearest
from shmtel.toml_lines import TomlLines, Where

FILE_BYTES_MAX = 1 << 20
NAME_BYTES_MAX = 255  # RING_NAME_LENGTH_MAX


class TomlSource:
    """A file of TOML.

    Its methods raise ConfigurationError where a value is not what they return.
    """

    def __init__(self, path: Path, cure: str) -> None:
        """Read a file; the cure is for one that cannot be read.

        Raises:
            ConfigurationError: it cannot be read, or it is no TOML.
        """
        self._path = path
        self._content = _content(path, cure)
        self._document = self._parsed()

    def root(self, known: Sequence[str]) -> dict[str, Any]:
        """Return all of it; it has no other keys than those."""
        return self.table((), self._document, known)

    def fault(self, where: Where, text: str) -> ConfigurationError:
        """Return an error that tells where something is wrong."""
        return self._fault(TomlLines(self._content).line_of(where), text)

    def table(
        self, where: Where, value: object, known: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return a table; if some keys are known it has no others."""
        if not isinstance(value, dict):
            text = f"this is a table of keys and values, not {shown(value)}"
            raise self.fault(where, text)
        for key in value:
            if known and key not in known:
                text = f"unknown key {shown(key)}; {nearest(key, known)}"
                raise self.fault((*where, key), text)
        return value

    def text(self, where: Where, value: object) -> str:
        """Return a text of one line."""
        if not isinstance(value, str) or not value.isprintable() or not value:
            text = f"this is a printable text in quotes, not {shown(value)}"
            raise self.fault(where, text)
        return value

    def texts(self, where: Where, value: object) -> tuple[str, ...]:
        """Return a list of names, each of them there once."""
        if not isinstance(value, list):
            raise self.fault(where, f"this is a list of texts, not {shown(value)}")
        seen: set[str] = set()
        for index, item in enumerate(value):
            name = self.name((*where, index), item)
            if name in seen:
                text = f"{name!r} stands there twice; remove one"
                raise self.fault((*where, index), text)
            seen.add(name)
        return tuple(value)

    def word(self, where: Where, value: object, words: Sequence[str]) -> str:
        """Return one of some words."""
        if value not in words:
            text = shown(value)
            cure = nearest(text.strip("'"), words)
            raise self.fault(where, f"{text} is none of its words; {cure}")
        return str(value)

    def name(self, where: Where, value: object) -> str:
        """Return a text that is not longer than the name of an event may be."""
        name = self.text(where, value)
        if len(name.encode()) > NAME_BYTES_MAX:
            text = f"{shown(name)} has more than {NAME_BYTES_MAX} bytes; shorten it"
            raise self.fault(where, text)
        return name

    # -- inside --------------------------------------------------------------

    def _fault(self, line: int, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}:{line}: {text}")

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._content)
        except ValueError as error:
            reason, _, place = str(error).rpartition(" (at ")
            found = re.match(r"line (\d+), column (\d+)", place)
            if found is not None:
                text = f"this is no TOML: {reason}, in column {found[2]}"
                raise self._fault(int(found[1]), text) from error
            lines = self._content.rstrip().split("\n")
            if isinstance(error, tomllib.TOMLDecodeError):  # at the end of the document
                text = f"this is no TOML: {reason}"
                raise self._fault(len(lines), text) from error
            line = lines.index(max(lines, key=len)) + 1
            raise self._fault(line, "a number has too many digits") from error
        except RecursionError as error:
            text = "it is nested too deeply; write it flat"
            raise self._fault(1, text) from error


def shown(value: object) -> str:
    """Return a value as text that fits into a line."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python makes no decimals of so long a number
        return "a very long number"


def _content(path: Path, cure: str) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ConfigurationError(f"{path} is not a file; {cure}")
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # a path with a null character
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"cannot read {path}: {reason}; {cure}") from error
    if len(data) > FILE_BYTES_MAX:
        text = f"{path}:1: such a file has at most {FILE_BYTES_MAX >> 20} MiB; split it"
        raise ConfigurationError(text)
    try:
        # As tomllib reads a file.
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"{path}:{line}: this is not UTF-8; save the file as UTF-8"
        raise ConfigurationError(text) from error
