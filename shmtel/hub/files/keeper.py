"""What becomes of rotated files: a form, and in time their removal.

It has a thread, which also rotates a file whose time is over while nothing comes.
A file in its new form is written under a temporary name, then renamed, and then the
rotated one is removed: cut off anywhere, the next keeper goes on. The disk has the
new one before the rotated one is removed, which it may have had for long.

Rules:
- what fails is counted, said, and tried again; the lines stay where they are;
- a file is removed only because there are more than shall be kept.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from shmtel.hub.files.chain import Chain, Rotated, temporary
from shmtel.hub.files.forms import Interrupted
from shmtel.hub.files.rotation import Rotation

_log = logging.getLogger(__name__)

_RETRY_S = 30.0
_END_S = 0.3  # a form is given up within that time


class Keeper:
    """Looks after the rotated files of one file.

    Args:
        rotate: rotates the file if its time is over; returns seconds until it is.
    """

    def __init__(
        self,
        chain: Chain,
        rotation: Rotation,
        counts: "Counter[str]",
        rotate: Callable[[], float],
    ) -> None:
        self._chain = chain
        self._rotation = rotation
        self._counts = counts
        self._rotate = rotate
        self._is_ending = threading.Event()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._said = ""

    def wake(self) -> None:
        """Look again, now; the first call starts the thread."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="shmtel-files", daemon=True
            )
            self._thread.start()
        self._woken.set()

    def close(self) -> None:
        """End; what was begun is given up."""
        self._is_ending.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    def tidy(self) -> bool:
        """Do what is to be done once; tell whether all went well."""
        is_well = True
        try:
            for path in self._chain.abandoned():
                path.unlink(missing_ok=True)
            self._remove_old()
            for rotated in self._chain.files():
                is_well &= self._give_form(rotated)
        except OSError as error:
            self._fail("looked after", self._chain.name(0).parent, error)
            is_well = False
        return is_well

    def _run(self) -> None:
        while not self._is_ending.is_set():
            self._woken.clear()
            due_s = self._due_s()
            try:
                is_well = self.tidy()
            except Interrupted:
                return
            self._woken.wait(_wait_s(due_s, is_well))

    def _due_s(self) -> float:
        try:
            return self._rotate()
        except OSError as error:  # the next batch meets it, too, and fails
            _log.error("it is not rotated: %s", error)
            return _RETRY_S

    def _remove_old(self) -> None:
        keep, files = self._rotation.keep, self._chain.files()
        for rotated in files[: max(0, len(files) - keep)] if keep else ():
            for path in self._chain.all_forms(rotated.number):
                path.unlink(missing_ok=True)
            self._counts["removed"] += 1
            _log.info("%s is removed: %d newer are kept", rotated.path, keep)

    def _give_form(self, rotated: Rotated) -> bool:
        target = self._rotation.form.name(rotated.path)
        if target is None or not rotated.is_plain:
            return True
        draft = temporary(target, str(time.time_ns()))
        try:
            if not target.exists():
                self._rotation.form.write(rotated.path, draft, self._is_ending.is_set)
                _sync(draft)
                os.rename(draft, target)
            _sync(target.parent)
            rotated.path.unlink()
        except Interrupted:
            draft.unlink(missing_ok=True)
            raise
        except Exception as error:  # a form may be anybody's; the thread goes on
            draft.unlink(missing_ok=True)
            self._fail(f"made {target.name}", rotated.path, error)
            return False
        self._counts["converted"] += 1
        return True

    def _fail(self, what: str, path: Path, error: Exception) -> None:
        self._counts["not_converted"] += 1
        text = f"{path} is not {what}, which is tried again: {error}"
        if text != self._said:
            self._said = text
            _log.error("%s", text)


def _sync(path: Path) -> None:
    """Wait until a file, or what a directory names, is on the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _wait_s(due_s: float, is_well: bool) -> float | None:
    seconds = due_s if is_well else min(due_s, _RETRY_S)
    return None if seconds == float("inf") else max(0.0, min(seconds, 3_600.0))
