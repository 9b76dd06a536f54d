"""The answers of hosts to one version of the policy, and waiting for them.

Each stream that was live when the version was sent owes an answer, until it has
given one or has ended. A later version of the same origin holds the change too,
so an answer to that one will do: of several versions that wait on one stream
only the newest is sent.

Rules:
- whoever waits here holds no other lock.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from shmtel.policy.model import PolicyStatus
from shmtel.wire.control import HostReport

NOT_WAITED = "not waited for"
TOO_LATE = "none in time"
ENDED = "its stream has ended"

Key = tuple[str, int]


class Answers:
    """What the hosts have answered so far."""

    def __init__(self, key: Key, hosts: Iterable[tuple[object, HostReport]]) -> None:
        """Wait for hosts, each with the stream that it is to answer on."""
        self._key = key
        self._changed = threading.Condition()
        self._reports = dict(hosts)
        self._owing = set(self._reports)
        self._is_given_up = False
        self._sent_ns = self._last_ns = time.monotonic_ns()

    def take(self, stream: object, status: PolicyStatus) -> None:
        """Note what came in on a stream, if it is an answer to this version."""
        origin, version = self._key
        if status.origin == origin and status.version >= version:
            self._settle(stream, replace(self._reports[stream], status=status))

    def lose(self, stream: object) -> None:
        """Note that a stream has ended."""
        self._settle(stream, replace(self._reports[stream], missing=ENDED))

    def _settle(self, stream: object, report: HostReport) -> None:
        with self._changed:
            if stream in self._owing:
                self._owing.discard(stream)
                self._reports[stream] = report
                self._last_ns = time.monotonic_ns()
                self._changed.notify_all()

    def awaits(self, stream: object) -> bool:
        """Say whether a stream owes an answer."""
        return stream in self._owing

    def give_up(self) -> None:
        """Let whoever waits go on without the rest."""
        with self._changed:
            self._is_given_up = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> tuple[list[HostReport], int]:
        """Wait until nobody owes an answer, or for so long.

        Returns:
            The reports, and how long it took, in ns.
        """
        with self._changed:
            is_complete = self._changed.wait_for(
                lambda: not self._owing or self._is_given_up, seconds
            )
            is_complete = is_complete and not self._owing
            reports = list(map(self._report_of, self._reports))
            end_ns = self._last_ns if is_complete else time.monotonic_ns()
            return reports, end_ns - self._sent_ns

    def _report_of(self, stream: object) -> HostReport:
        report = self._reports[stream]
        return replace(report, missing=TOO_LATE) if stream in self._owing else report
