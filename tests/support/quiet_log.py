"""A log of conditions that keeps its lines for the test to read."""

import logging
import time
from collections.abc import Callable

from shmtel_collector.logs import ConditionLog


class QuietLog(ConditionLog):
    """Collects what would be logged."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lines: list[str] = []
        logger = logging.Logger("quiet")
        logger.addHandler(_Keeper(self.lines))
        super().__init__(logger, clock)


class _Keeper(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
