"""A hub that is killed at every step of what it does with files.

First at every call that changes a file, before it and after it, one after the other;
then by SIGKILL, whenever that comes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shmtel.hub.files import keeper
from shmtel.hub.files.forms import Gzip
from shmtel.hub.files.rotation import Rotation
from shmtel.hub.jsonlines import JsonLines
from support.event_files import all_seqs, batch
from support.processes import wait_until
from support.program import clean_environment

CALLS = ("open", "write", "rename", "unlink", "ftruncate", "close")
BATCHES = 7
BATCH_EVENTS = 2


class Killed(BaseException):
    """Here the hub is no more."""


class Kill:
    """Counts what changes files, and ends the hub at one step."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.steps = 0
        self._open: set[int] = set()

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a step before it and one after it."""

        def call(*arguments: Any, **more: Any) -> Any:
            self._step()
            result = function(*arguments, **more)
            self._note(function.__name__, result, arguments)
            self._step()
            return result

        return call

    def end(self) -> None:
        """Let go of what the kernel closes for a process, and with it of the locks."""
        for file in self._open:
            os.close(file)

    def _note(self, name: str, result: Any, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            self._open.add(result)
        elif name == "close":
            self._open.discard(arguments[0])

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._at:
            raise Killed


@dataclass
class Record:
    """What a hub keeps beside its sink, and its collector with it."""

    acked: int = 0
    mark: str | None = None
    noted: str | None = field(default=None, repr=False)

    def is_committed(self, _ring_id: str, seq: int) -> bool:
        """Say what is on record."""
        return seq <= self.acked


def run_hub(path: Path, record: Record, *, loses_acks: bool) -> None:
    """Store what is not acknowledged; commit each batch after the next one."""
    rotation = Rotation(max_bytes=800, form=Gzip())
    with JsonLines(path, rotation) as sink:
        sink.recover(record.mark, record.is_committed)
        note = sink.mark()
        last = BATCHES * BATCH_EVENTS
        for before in range(record.acked, last, BATCH_EVENTS):
            sink(batch(before + 1, before + BATCH_EVENTS))
            if not loses_acks or before % (2 * BATCH_EVENTS):
                record.acked, record.mark = before + BATCH_EVENTS, note
                note = sink.mark()


@contextmanager
def files_tidied_at_once(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the keeper do its work where it is woken, without a thread."""
    with patch.context() as inner:
        inner.setattr(keeper.Keeper, "wake", lambda self: self.tidy())
        yield


@pytest.mark.parametrize("loses_acks", [False, True])
def test_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loses_acks: bool
) -> None:
    """Each event is there once, in order, whichever step was the last."""
    is_over, at = False, 0
    while not is_over:
        at += 1
        path = tmp_path / str(at) / "events.jsonl"
        path.parent.mkdir()
        record, kill = Record(), Kill(at)
        with files_tidied_at_once(monkeypatch):
            with monkeypatch.context() as patch:
                for name in CALLS:
                    patch.setattr(os, name, kill.wrap(getattr(os, name)))
                try:
                    run_hub(path, record, loses_acks=loses_acks)
                    is_over = True
                except Killed:
                    pass
            kill.end()
            run_hub(path, record, loses_acks=False)
        assert all_seqs(path) == list(range(1, BATCHES * BATCH_EVENTS + 1)), at
    assert at > 60


# -- by SIGKILL --------------------------------------------------------------

EVENTS = 600
KILLS = 3


def test_by_sigkill(tmp_path: Path) -> None:
    """A process that writes, rotates and packs all the time, killed at random."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    path = tmp_path / "events.jsonl"
    acks = tmp_path / "acks"
    acks.touch()
    for _ in range(KILLS):
        before = acks.stat().st_size
        with _writer(path, acks) as process:
            wait_until(lambda before=before: acks.stat().st_size > before)
            time.sleep(chance.random() * 0.02)  # a kill may come anywhere
            process.send_signal(signal.SIGKILL)
    with _writer(path, acks) as process:
        assert process.wait(60) == 0
    assert all_seqs(path) == list(range(1, EVENTS + 1))


@contextmanager
def _writer(path: Path, acks: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [sys.executable, __file__, str(path), str(acks)],
        env=clean_environment(PYTHONPATH=str(Path(__file__).parents[3])),
        cwd="/",
    ) as process:
        yield process


def _write(path: Path, acks: Path) -> None:
    """Store events until there are enough, with a line for each ack and its mark."""
    lines = acks.read_text().splitlines()
    acked, _, mark = lines[-1].partition(" ") if lines else ("0", "", "")
    record = Record(int(acked), mark or None)
    rotation = Rotation(max_bytes=2_000, form=Gzip())
    with acks.open("a") as log, JsonLines(path, rotation) as sink:
        sink.recover(record.mark, record.is_committed)
        note = sink.mark()
        for before in range(record.acked, EVENTS, BATCH_EVENTS):
            sink(batch(before + 1, before + BATCH_EVENTS))
            if before % 50 < BATCH_EVENTS or before + BATCH_EVENTS >= EVENTS:
                log.write(f"{before + BATCH_EVENTS} {note}\n")
                log.flush()
                note = sink.mark()


if __name__ == "__main__":
    _write(*map(Path, sys.argv[1:]))
