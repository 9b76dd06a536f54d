"""What a worker notes of its calls, in a file that outlives it.

A byte per call, written before the call and again after it has returned. The
file is mapped, so what is written is there however the worker ends: all its
calls but the last are known for certain.

Rules:
- only the worker writes its file, and a forked child has one of its own.
"""

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

MAX_CALLS = 1 << 18
_HEADER = 16
_SUFFIX = ".calls"


class Fate(IntEnum):
    """What became of a call, as far as the worker can tell."""

    NEVER = 0
    BEGUN = 1  # and nobody knows how it went on
    COMMITTED = 2
    DROPPED = 3
    NO_RING = 4  # dropped, and counted in the process until it has a ring


@dataclass(frozen=True, slots=True)
class CallLog:
    """The calls of one worker, as read from its file."""

    worker: str
    pid: int
    largest_text: int
    fates: Sequence[Fate]


class CallWriter:
    """The file while its worker lives."""

    def __init__(self, directory: Path, worker: str, largest_text: int) -> None:
        path = directory / f"{worker}{_SUFFIX}"
        with path.open("xb+") as file:
            file.truncate(_HEADER + MAX_CALLS)
            self._memory = mmap.mmap(file.fileno(), _HEADER + MAX_CALLS)
        self._memory[:_HEADER] = os.getpid().to_bytes(8) + largest_text.to_bytes(8)

    def note(self, index: int, fate: Fate) -> None:
        """Write down what is known of a call."""
        self._memory[_HEADER + index] = fate


def read_calls(path: Path) -> CallLog:
    """Read a worker's file."""
    data = path.read_bytes()
    body = data[_HEADER:].rstrip(b"\0")
    return CallLog(
        worker=path.name.removesuffix(_SUFFIX),
        pid=int.from_bytes(data[:8]),
        largest_text=int.from_bytes(data[8:_HEADER]),
        fates=[Fate(byte) for byte in body],
    )


def read_pid(path: Path) -> int:
    """Read whose file it is; 0: its worker has just made it."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8))


def call_files(directory: Path) -> list[Path]:
    """Return the files of all workers."""
    return sorted(directory.glob(f"*{_SUFFIX}"))
