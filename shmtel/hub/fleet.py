"""The live streams, one per host, and the policy that all of them are sent.

Fencing. A host has one collector, and its newest stream is the one that counts.
A hello takes over from the live stream of its host when its epoch is greater,
or when it is the same process (same instance, same epoch) that lost its
connection before the hub noticed. Everything else is refused as stale: an older
collector that was left behind, or a second machine with a copied state, which
would otherwise throw each other out for ever.

A fenced stream finishes the batch it is working on. Until it has stopped, the
new stream answers no RingOpened, so that a ring is advanced by one at a time;
the same goes for streams that were fenced before it and still work.

Rules:
- the lock here is taken before a stream's own, never the other way round.
"""

import threading
import time
from dataclasses import dataclass
from typing import Protocol

from shmtel.policy.model import Policy, Rule
from shmtel.policy.rules import with_rule
from shmtel.wire.frames import ErrorCode, Hello


class LiveStream(Protocol):
    """What the fleet needs of a stream."""

    stopped: threading.Event

    def welcome(self, policy: Policy) -> None:
        """Accept the collector and send it the policy."""

    def push_policy(self, policy: Policy) -> None:
        """Send the collector a new policy."""

    def end(self, code: int, message: str) -> None:
        """End the stream after the batch in work."""


@dataclass(frozen=True, slots=True)
class _Member:
    hello: Hello
    stream: LiveStream


class Fleet:
    """All streams that were accepted and have not stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[str, list[_Member]] = {}  # by host; the last one is live
        self._policy = Policy(0)
        self._closing: str | None = None  # why

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    def admit(self, hello: Hello, stream: LiveStream) -> list[LiveStream]:
        """Accept a stream or end it.

        Returns:
            The streams of its host that have to stop before it may go on.
        """
        with self._lock:
            if self._closing is not None:
                stream.end(ErrorCode.SHUTTING_DOWN, self._closing)
                return []
            members = self._members.setdefault(hello.host_id, [])
            if members and not _takes_over(hello, members[-1].hello):
                message = f"a newer collector of {hello.node} is connected"
                stream.end(ErrorCode.STALE_EPOCH, message)
                return []
            before = [member.stream for member in members]
            for older in before[-1:]:
                message = f"a newer collector of {hello.node} took over"
                older.end(ErrorCode.SUPERSEDED, message)
            members.append(_Member(hello, stream))
            stream.welcome(self._policy)
            return before

    def leave(self, stream: LiveStream) -> None:
        """Forget a stream that has stopped, or was never accepted."""
        with self._lock:
            for host_id, members in list(self._members.items()):
                left = [member for member in members if member.stream is not stream]
                if left:
                    self._members[host_id] = left
                else:
                    del self._members[host_id]

    def set_rule(self, rule: Rule) -> tuple[Policy, int]:
        """Change the policy and send it to all.

        Returns:
            The policy, and the number of streams that it was sent to.

        Raises:
            ConfigurationError: the rule is wrong.
        """
        with self._lock:
            self._policy = with_rule(self._policy, rule, time.time_ns())
            live = [members[-1].stream for members in self._members.values()]
            for stream in live:
                stream.push_policy(self._policy)
            return self._policy, len(live)

    def close(self, reason: str = "the hub is shutting down") -> list[LiveStream]:
        """End all streams and accept no more; return those that are to stop."""
        with self._lock:
            self._closing = self._closing or reason
            streams = self._all()
            for stream in streams:
                stream.end(ErrorCode.SHUTTING_DOWN, self._closing)
            return streams

    def live_count(self) -> int:
        """Return how many hosts are connected."""
        return len(self._members)

    def _all(self) -> list[LiveStream]:
        return [m.stream for members in self._members.values() for m in members]


def _takes_over(new: Hello, live: Hello) -> bool:
    if new.epoch != live.epoch:
        return new.epoch > live.epoch
    return new.instance_id == live.instance_id
