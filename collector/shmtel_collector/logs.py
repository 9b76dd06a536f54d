"""One line per condition, not one per occurrence.

A condition (a hub that is away, a damaged ring) may hold for hours and come
back at each pass; the first line tells the operator, and the count of what was
left out stands in the next one.
"""

import logging
import time
from collections.abc import Callable

REPEAT_SECONDS = 60.0
MAX_CONDITIONS = 1_000  # then those that would be logged again are forgotten


class ConditionLog:
    """A logger that holds back repeats of the same condition."""

    def __init__(
        self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def warning(self, condition: str, text: str, *arguments: object) -> None:
        """Log a warning, unless this condition was logged within a minute."""
        now = self._clock()
        if now - self._last.get(condition, -REPEAT_SECONDS) < REPEAT_SECONDS:
            self._held_back[condition] = self._held_back.get(condition, 0) + 1
            return
        if len(self._last) >= MAX_CONDITIONS:
            self._forget_old(now)
        self._last[condition] = now
        repeats = self._held_back.pop(condition, 0)
        if repeats:
            text = f"{text} (and {repeats} more)"
        self._logger.warning(text, *arguments)

    def info(self, text: str, *arguments: object) -> None:
        """Log an event that is rare by nature."""
        self._logger.info(text, *arguments)

    def cleared(self, condition: str) -> None:
        """Forget a condition that has ended, so that its return is logged."""
        self._last.pop(condition, None)
        self._held_back.pop(condition, None)

    def _forget_old(self, now: float) -> None:
        for condition, last in list(self._last.items()):
            if now - last >= REPEAT_SECONDS:
                self.cleared(condition)
