"""Whether a hub keeps up: what a probe of it should answer, and why.

Rules:
- asking costs nothing that a stream or a handler would notice, and never waits
  for either.
"""

import time
from dataclasses import dataclass

from shmtel.hub.committer import Committer
from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.fleet import Fleet

LIMIT_S = 5.0  # of work in one batch: longer is as bad as not at all


@dataclass(frozen=True, slots=True)
class Readiness:
    """What speaks against a hub, if anything does."""

    is_serving: bool  # started, and not stopped
    unanswered_s: float = 0.0  # how long the oldest batch has waited for its ack
    unanswered_node: str = ""  # whose it is
    handler_id: str = ""  # which handler has been at work longest
    handler_s: float = 0.0  # on one segment
    commit_failure: str | None = None  # why nothing can be written
    failure: str | None = None  # why the hub takes no more events

    @property
    def reasons(self) -> list[str]:
        """What is wrong, in sentences; nothing: it is ready."""
        texts: list[str] = []
        if not self.is_serving:
            texts.append("the hub does not serve")
        if self.failure is not None:
            texts.append(f"the hub has failed: {self.failure}")
        if self.commit_failure is not None:
            texts.append(f"nothing is acknowledged: {self.commit_failure}")
        if self.handler_s > LIMIT_S:
            texts.append(
                f"handler {self.handler_id!r} is at work for {self.handler_s:.1f} s"
            )
        if self.unanswered_s > LIMIT_S:
            texts.append(
                f"a batch of {self.unanswered_node} is without its ack for "
                f"{self.unanswered_s:.1f} s"
            )
        return texts

    @property
    def is_ready(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reasons


def take_readiness(
    *, is_serving: bool, dispatcher: Dispatcher, fleet: Fleet, committer: Committer
) -> Readiness:
    """Look at a hub."""
    unanswered_ns, node = fleet.longest_unanswered()
    activity = dispatcher.watch.longest()
    handler_id, since_ns = "", time.monotonic_ns()
    if activity is not None:
        handler_id, since_ns = activity.handler_id, activity.since_ns
    failure = dispatcher.failure
    return Readiness(
        is_serving=is_serving,
        unanswered_s=unanswered_ns / 1e9,
        unanswered_node=node,
        handler_id=handler_id,
        handler_s=max(0, time.monotonic_ns() - since_ns) / 1e9,
        commit_failure=committer.failure,
        failure=None if failure is None else str(failure),
    )
