"""A thread and a queue of its own for one handler.

Rules:
- first in, first out, by one thread: such a handler is never called twice at once;
- putting never waits; what finds no room is the caller's to count.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")

QUEUE_FULL = "queue_full"
DETACHED = "detached"
RAISED = "raised"  # by the handler, at this event or before it in its segment


class Lane(Generic[_T]):
    """Hands items to a function, in a thread of its own.

    Args:
        run: is called with each item; when it returns False, the lane stops and
            keeps what it holds.
        skip: is called with what is left when the lane was given up.
        room: how many items wait at most; None: the caller sees to it.

    Attributes:
        on_end: is called when its thread has ended.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[_T], bool],
        skip: Callable[[_T], None],
        room: int | None = None,
    ) -> None:
        self.on_end: Callable[[], None] = lambda: None
        self._name = name
        self._run_item = run
        self._skip_item = skip
        self._room = room
        self._changed = threading.Condition()
        self._waiting: deque[_T] = deque()
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self._is_given_up = False

    def put(self, item: _T) -> str | None:
        """Hand over an item; return why it was not taken."""
        with self._changed:
            if self._is_ending:
                return DETACHED
            if self._room is not None and len(self._waiting) >= self._room:
                return QUEUE_FULL
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=self._name, daemon=True
                )
                self._thread.start()
            self._changed.notify()
            return None

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    def end(self, *, is_given_up: bool = False) -> None:
        """Take no more, and end after what waits; or after skipping it."""
        with self._changed:
            self._is_ending = True
            self._is_given_up |= is_given_up
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for the end, for so long at most."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        try:
            while (item := self._take()) is not None:
                if self._is_given_up:
                    self._skip_item(item)
                elif not self._run_item(item):
                    return
        finally:
            self.on_end()

    def _take(self) -> _T | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            return self._waiting.popleft() if self._waiting else None
