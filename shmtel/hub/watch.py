"""Which handler is at work, and since when.

A call that does not return cannot say so itself; whoever asks for the hub's
readiness sees it here.

Rules:
- a call costs two entries of a dictionary; that is done once per segment.
"""

import time
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Activity:
    """A thread that is at work on a segment, and the handler it is in now."""

    handler_id: str
    since_ns: int


class Watch:
    """All handlers that are at work."""

    def __init__(self) -> None:
        self._activities: dict[int, Activity] = {}

    def begin(self, handler_id: str = "") -> Activity:
        """Note that a thread begins with a segment."""
        activity = Activity(handler_id, time.monotonic_ns())
        self._activities[id(activity)] = activity
        return activity

    def end(self, activity: Activity) -> None:
        """Note that it has finished."""
        del self._activities[id(activity)]

    def longest(self) -> Activity | None:
        """Return what has been at work longest; None: nothing is."""
        activities = list(self._activities.values())
        return min(activities, key=lambda a: a.since_ns, default=None)
