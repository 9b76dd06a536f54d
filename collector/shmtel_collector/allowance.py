"""How often something may be done: a burst, and then so many times a second."""

from collections.abc import Callable


class Allowance:
    """Lets a burst through, then a rate, and counts what goes beyond.

    Attributes:
        left_out: how often it said no; whoever tells of it sets it to 0.
    """

    def __init__(self, burst: int, per_second: int, clock: Callable[[], float]) -> None:
        self.left_out = 0
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._room = float(burst)
        self._last = clock()

    def take(self) -> bool:
        """Say whether it may be done now; a yes counts as done."""
        now = self._clock()
        grown = self._room + (now - self._last) * self._per_second
        self._room = min(grown, self._burst)
        self._last = now
        if self._room < 1.0:
            return self.refuse()
        self._room -= 1.0
        return True

    def refuse(self) -> bool:
        """Say no, whatever room there is."""
        self.left_out += 1
        return False
