"""The forms that a rotated file can be given.

Rules:
- a form is written in bounded memory, under a name that nobody reads, and by whom
  the streams of events do not wait;
- it says what `shmtel.hub.jsontail` needs: which events it holds.
"""

import gzip
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from shmtel.hub.files.chain import columns_of

IsEnding = Callable[[], bool]

_CHUNK_BYTES = 1 << 20
_LOOK_S = 0.05


class Interrupted(Exception):
    """The sink is closed; the next one begins this file anew."""


class Form(Protocol):
    """A form of rotated files."""

    def name(self, rotated: Path) -> Path | None:
        """Return what a file is called in this form; None: it is left as it is."""

    def write(self, rotated: Path, target: Path, is_ending: IsEnding) -> None:
        """Write a rotated file in this form.

        Raises:
            Interrupted: `is_ending` said so.
            OSError: it cannot be written.
        """


class Lines:
    """Lines of JSON, as they were written."""

    def name(self, _rotated: Path) -> Path | None:
        """Leave it as it is."""
        return None

    def write(self, rotated: Path, target: Path, is_ending: IsEnding) -> None:
        """Is not called."""
        raise NotImplementedError


class Gzip:
    """The same lines, compressed. zlib lets the streams go on meanwhile."""

    def name(self, rotated: Path) -> Path | None:
        """Return its name with .gz behind it."""
        return rotated.with_name(f"{rotated.name}.gz")

    def write(self, rotated: Path, target: Path, is_ending: IsEnding) -> None:
        """Compress it."""
        with rotated.open("rb") as lines, gzip.open(target, "wb", 6) as packed:
            while chunk := lines.read(_CHUNK_BYTES):
                if is_ending():
                    raise Interrupted
                packed.write(chunk)


class Parquet:
    """Columns, by a process of its own.

    Columns are made of Python objects, which takes several times as long for an
    event as to hand it out: a thread would take that time from the streams.

    Raises:
        ImportError: pyarrow is not installed.
    """

    def __init__(self) -> None:
        if find_spec("pyarrow") is None:  # only asked: the hub does without it
            raise ImportError("no pyarrow", name="pyarrow")

    def name(self, rotated: Path) -> Path | None:
        """Return its name with .parquet for .jsonl, or behind another suffix."""
        return columns_of(rotated)

    def write(self, rotated: Path, target: Path, is_ending: IsEnding) -> None:
        """Make columns of it."""
        # -P: what lies where the hub was started is not what is installed.
        command = [sys.executable, "-P", "-m", "shmtel.hub.files.convert"]
        with subprocess.Popen(
            [*command, str(rotated), str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for the hub, which then says what ends
        ) as process:
            while (said := _said(process)) is None:
                if is_ending():
                    process.kill()
                    raise Interrupted
        if process.returncode:
            text = said.decode(errors="replace").strip() or "it was killed"
            raise OSError(None, text.splitlines()[-1], str(target))


def _said(process: "subprocess.Popen[bytes]") -> bytes | None:
    """Return what a process has said on stderr until its end; None: it goes on."""
    try:
        return process.communicate(timeout=_LOOK_S)[1]
    except subprocess.TimeoutExpired:
        return None
