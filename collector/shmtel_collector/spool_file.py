"""Opens the spool's file, and opens it again: whatever the disk does, all goes on.

- damaged: it is set aside, counted, and begun anew; whoever looks for what was in
  there finds a hole, and counts that as lost;
- not usable: there is none, for now. What is in there waits, and so does what comes
  behind it; it is tried again every ten seconds;
- not wanted: there is none, and nothing is ever found.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from shmtel.errors import ShmtelError
from shmtel.statefiles import is_damage, set_aside
from shmtel_collector.logs import ConditionLog
from shmtel_collector.spool_store import SpoolStore

REOPEN_NS = 10_000_000_000
CONDITION = "spool"

_T = TypeVar("_T")


class SpoolUnreadable(ShmtelError):
    """The disk does not answer; what is asked for may be there all the same."""


class SpoolFile:
    """The store of a spool, as long as there is one.

    Attributes:
        store: None: there is none, or none now.
        is_wanted: there is to be one.
        on_start_over: called when everything that was in it is gone.
    """

    def __init__(
        self,
        path: Path | None,
        max_bytes: int,
        log: ConditionLog,
        clock: Callable[[], int],
    ) -> None:
        """Open it; what stands in the way of that is logged."""
        self.store: SpoolStore | None = None
        self.on_start_over: Callable[[], None] = lambda: None
        self.is_wanted = path is not None
        self._path = path
        self._max_bytes = max_bytes
        self._log = log
        self._clock = clock
        self._damages = 0
        self._reopen_ns = 0
        self.open_again()

    @property
    def damages(self) -> int:
        """Return how often something in it was not what it had been."""
        return self._damages + (self.store.unsound if self.store else 0)

    def attempt(self, action: Callable[[SpoolStore], _T], otherwise: _T) -> _T:
        """Do something with the store, if that is possible."""
        try:
            return self.read(action, otherwise)
        except SpoolUnreadable:
            return otherwise

    def read(self, action: Callable[[SpoolStore], _T], otherwise: _T) -> _T:
        """Ask the store; without one, or a sound one, the answer is `otherwise`.

        Raises:
            SpoolUnreadable: the answer is not known at present.
        """
        if self.store is None:
            if self._path is None:
                return otherwise
            raise SpoolUnreadable(f"{self._path} is not open")
        try:
            return action(self.store)
        except sqlite3.Error as error:
            if is_damage(error) or self._is_hidden_damage(error):
                self._start_over(error)
                return otherwise
            self._say(error)
            raise SpoolUnreadable(str(error)) from error

    def note(self, error: sqlite3.Error) -> None:
        """Act on an error of the store, of which something was to be put in."""
        if is_damage(error):
            self._start_over(error)
        else:
            self._say(error)

    def _is_hidden_damage(self, error: sqlite3.Error) -> bool:
        """Say whether what needs no room has found none: a page beyond the quota.

        SQLite tells a page number that is out of bounds so, and not as damage.
        """
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL or self.store is None:
            return False
        try:
            return not self.store.is_sound()
        except sqlite3.Error as again:
            return is_damage(again)

    def _say(self, error: sqlite3.Error) -> None:
        self._log.warning(f"{CONDITION} error", "the spool: %s", error)

    def open_again(self) -> None:
        """Open it if it is wanted and not open; what was in the way may be gone."""
        path = self._path
        if path is None or self.store is not None or self._clock() < self._reopen_ns:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.store = SpoolStore(path, self._max_bytes)
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._start_over(error)
            else:
                self._give_up(error)

    def close(self) -> None:
        """Close it as it stands."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def _start_over(self, error: sqlite3.Error) -> None:
        """Set the file aside, and begin a new one."""
        assert self._path is not None
        self._damages = self.damages + 1
        self.close()
        self.on_start_over()
        try:
            target = set_aside(self._path)
            self._log.warning(
                f"{CONDITION} damaged {target}",
                "the spool is damaged (%s) and is set aside as %s; what was in there "
                "and not delivered is lost, reason spool_damaged",
                *(error, target),
            )
            self.store = SpoolStore(self._path, self._max_bytes)
        except (sqlite3.Error, OSError) as again:
            self._give_up(again)

    def _give_up(self, error: Exception) -> None:
        self._reopen_ns = self._clock() + REOPEN_NS
        cure = (
            "another collector uses it; give this one a --spool-dir of its own"
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            else "what is in it waits until that is put right; with another --spool-dir"
            " the events of live workers that are in it are lost"
        )
        text = "no spool: %s cannot be used: %s; %s"
        self._log.warning(f"{CONDITION} unusable", text, self._path, error, cure)
