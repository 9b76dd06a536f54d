"""The live streams, one per host, and the policy that all of them are sent.

Fencing. A host has one collector, and its newest stream is the one that counts.
A hello takes over from the live stream of its host when its epoch is greater,
or when it is the same process (same instance, same epoch) that lost its
connection before the hub noticed, and this is not the stream that it lost: a hub
that was frozen may come upon the hellos of both in any order. Everything else is
refused as stale: an older collector that was left behind, or a second machine with a
copied state, which would otherwise throw each other out for ever.

A fenced stream finishes the batch it is working on. Until it has stopped, the
new stream answers no RingOpened, so that a ring is advanced by one at a time;
the same goes for streams that were fenced before it and still work.

The policy. A stream is sent the whole of it after its welcome, and each new
version. It is not sent to a host that has it in force already, nor to a process
that has refused it: it would do so again. Over its restarts a collector says
itself what it has refused; a newer program may understand what an older one did
not. A hub that never had a policy sends none, so collectors keep their last good
one.

Rules:
- the lock here is taken before a stream's own and before that of the answers,
  never the other way round.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from shmtel.hub.answers import Answers
from shmtel.policy.model import Policy, PolicyStatus
from shmtel.wire.control import HostReport
from shmtel.wire.frames import ErrorCode, Hello

_log = logging.getLogger(__name__)

REJECTED_MAX = 10_000  # hosts that are remembered
_SHUTTING_DOWN = "the hub is shutting down"
_REDIAL_MS = 1_000  # over which collectors come back to the next hub


class LiveStream(Protocol):
    """What the fleet needs of a stream."""

    stopped: threading.Event

    def welcome(self, policy: Policy | None) -> None:
        """Accept the collector and send it the policy, if it needs it."""

    def push_policy(self, policy: Policy) -> None:
        """Send the collector a new policy."""

    def drain(self, reason: str, delay_ms: int, deadline_ms: int) -> None:
        """Ask the collector to end the stream, and to dial again after the delay."""

    def end(self, code: int, message: str) -> None:
        """End the stream after the batches in work."""

    def unanswered_ns(self) -> int:
        """Return for how long the oldest batch has waited for its ack; 0: none."""


@dataclass(slots=True)
class _Member:
    hello: Hello
    stream: LiveStream
    since_ns: int  # CLOCK_REALTIME
    status: PolicyStatus | None = None  # the last one


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is connected, and what it said last."""

    host_id: str
    node: str
    status: PolicyStatus | None
    since_ns: int = 0  # CLOCK_REALTIME at which its stream was accepted


class Fleet:
    """All streams that were accepted and have not stopped."""

    def __init__(
        self, policy: Policy, rejected: Mapping[str, bytes] | None = None
    ) -> None:
        """Start with the policy that was there before.

        Args:
            rejected: hosts that have refused it, and which process it was.
        """
        self._lock = threading.Lock()
        self._members: dict[str, list[_Member]] = {}  # by host; the last one is live
        self._policy = policy
        self._rejected = dict(rejected or {})
        self._waiting: list[Answers] = []
        self._closing: str | None = None  # why

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
            members.append(_Member(hello, stream, time.time_ns()))
            stream.welcome(self._policy_for(hello))
            return before

    def leave(self, stream: LiveStream) -> None:
        """Forget a stream that has stopped, or was never accepted."""
        with self._lock:
            for answers in self._waiting:
                if answers.awaits(stream):
                    answers.lose(stream)
            for host_id, members in list(self._members.items()):
                left = [member for member in members if member.stream is not stream]
                if left:
                    self._members[host_id] = left
                else:
                    del self._members[host_id]

    def push(self, policy: Policy) -> Answers:
        """Send a new version to all that are live; give what they answer.

        `forget` the answers when nobody waits for them any more.
        """
        with self._lock:
            self._policy = policy
            self._rejected.clear()
            live = [members[-1] for members in self._members.values()]
            answers = Answers(
                policy.key,
                (
                    (member.stream, HostReport(member.hello.node, member.hello.host_id))
                    for member in live
                ),
            )
            self._waiting.append(answers)
            for member in live:
                member.stream.push_policy(_sent(policy))
            return answers

    def forget(self, answers: Answers) -> None:
        """Note no more answers."""
        with self._lock:
            self._waiting.remove(answers)

    def note_status(self, stream: LiveStream, status: PolicyStatus) -> Hello | None:
        """Note what a collector says of its policies.

        Returns:
            Who has refused the policy with it; None: nobody, or it is known.
        """
        with self._lock:
            member = self._member(stream)
            if member is None:
                return None
            member.status = status
            for answers in self._waiting:
                if answers.awaits(stream):
                    answers.take(stream, status)
            return member.hello if self._is_new_rejection(member, status) else None

    def hosts(self) -> list[Host]:
        """Return the hosts that are connected."""
        with self._lock:
            live = [members[-1] for members in self._members.values()]
            return [
                Host(m.hello.host_id, m.hello.node, m.status, m.since_ns) for m in live
            ]

    def drain(
        self, deadline_s: float, draw: Callable[[int], int] = random.randrange
    ) -> list[LiveStream]:
        """Ask all to leave in order and accept no more; return those that are to stop.

        Each is told to dial again after a delay of its own, so that a fleet does
        not come in step to the next hub.
        """
        with self._lock:
            self._closing = self._closing or _SHUTTING_DOWN
            streams = self._all()
            for stream in streams:
                stream.drain(self._closing, draw(_REDIAL_MS), int(deadline_s * 1e3))
            return streams

    def longest_unanswered(self) -> tuple[int, str]:
        """Return for how long the oldest batch of all has waited, and whose it is."""
        ages = ((age_ns, hello.node) for hello, age_ns in self._unanswered_ns())
        return max(ages, default=(0, ""))

    def oldest_unanswered_ns(self) -> dict[str, int]:
        """Return by host id how long the oldest batch has waited for its answer."""
        ages: dict[str, int] = {}
        for hello, age_ns in self._unanswered_ns():
            ages[hello.host_id] = max(ages.get(hello.host_id, 0), age_ns)
        return ages

    def _unanswered_ns(self) -> list[tuple[Hello, int]]:
        with self._lock:
            members = [m for group in self._members.values() for m in group]
        # A stream's own lock is not taken under this one.
        return [(m.hello, m.stream.unanswered_ns()) for m in members]

    def close(self, reason: str = _SHUTTING_DOWN) -> list[LiveStream]:
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

    def _policy_for(self, hello: Hello) -> Policy | None:
        """Return what a new stream is to be sent; None: nothing."""
        policy = self._policy
        in_force = (hello.policy_origin, hello.policy_version)
        rejected = (hello.rejected_origin, hello.rejected_version)
        if policy.version == 0 or policy.key in (in_force, rejected):
            return None
        if self._rejected.get(hello.host_id) == hello.instance_id:
            return None
        if in_force[0] == policy.origin and in_force[1] > policy.version:
            _log.warning(
                "%s has version %d of the policy, this hub only %d: its state is an "
                "older copy; set a rule until the versions have passed each other",
                *(hello.node, in_force[1], policy.version),
            )
        return _sent(policy)

    def _is_new_rejection(self, member: _Member, status: PolicyStatus) -> bool:
        """Say so, and remember it until there is another policy."""
        host_id, instance = member.hello.host_id, member.hello.instance_id
        if status.rejection is None or status.key != self._policy.key:
            return False
        if status.version == 0 or self._rejected.get(host_id) == instance:
            return False
        self._rejected[host_id] = instance
        if len(self._rejected) > REJECTED_MAX:
            del self._rejected[next(iter(self._rejected))]
        return True

    def _member(self, stream: LiveStream) -> _Member | None:
        for members in self._members.values():
            for member in members:
                if member.stream is stream:
                    return member
        return None

    def _all(self) -> list[LiveStream]:
        return [m.stream for members in self._members.values() for m in members]


def wait_stopped(streams: Iterable[LiveStream], deadline: float) -> None:
    """Wait for streams to stop, until a moment of the monotonic clock."""
    for stream in streams:
        stream.stopped.wait(max(0.0, deadline - time.monotonic()))


def _takes_over(new: Hello, live: Hello) -> bool:
    if new.epoch != live.epoch:
        return new.epoch > live.epoch
    return new.instance_id == live.instance_id and new.stream >= live.stream


def _sent(policy: Policy) -> Policy:
    """Stamp a policy with the clock that its deadlines are by."""
    return replace(policy, sent_ns=time.time_ns())
