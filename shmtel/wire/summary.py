"""What became of a change of policy, in words.

The hub's API and the operator's tool say it with the same sentences:

    applied by 7 of 8 workers in 12 ms
    worker 'w-3' on node-1: its ring is damaged

Rules:
- nothing is called applied that somebody has not answered for;
- names come from workers and reasons from other hosts: what cannot be printed
  is escaped, and the number of lines is bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shmtel.policy.text import printable
from shmtel.wire.control import ChangeReport, HostReport

LINES_MAX = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """What a report comes to.

    Attributes:
        text: one line.
        problems: who did not apply it and why, a line each; empty: nobody.
        applied: workers whose words say it.
        workers: workers that were asked to.
        rejected: hosts that refused it.
        missing: hosts without an answer.
    """

    text: str
    problems: tuple[str, ...] = field(default=())
    applied: int = 0
    workers: int = 0
    rejected: int = 0
    missing: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether everybody who was asked has applied it."""
        return self.applied == self.workers and not self.rejected + self.missing

    def __str__(self) -> str:
        return "\n".join((self.text, *self.problems))


def summary(report: ChangeReport) -> Summary:
    """Put into words what became of a change that was waited for."""
    statuses = [host.status for host in report.hosts if host.status is not None]
    accepted = [status for status in statuses if status.rejection is None]
    results = [result for status in accepted for result in status.workers]
    applied = sum(not result.failure for result in results)
    rejected = len(statuses) - len(accepted)
    missing = len(report.hosts) - len(statuses)
    return Summary(
        text=_first_line(report, applied, len(results), rejected + missing),
        problems=_bounded([line for host in report.hosts for line in _lines(host)]),
        applied=applied,
        workers=len(results),
        rejected=rejected,
        missing=missing,
    )


def _first_line(report: ChangeReport, applied: int, workers: int, without: int) -> str:
    hosts = len(report.hosts)
    if not hosts:
        return f"kept as version {report.version}; no collector is connected"
    duration = f"in {report.duration_ns / 1e6:.0f} ms"
    if without == hosts:
        return f"applied by no host of {hosts} {duration}"
    text = f"applied by {applied} of {_count(workers, 'worker')} {duration}"
    if not workers:
        text = f"in force {duration}; it selects no worker that is there now"
    return f"{text}, but not by {without} of {hosts} hosts" if without else text


def _lines(host: HostReport) -> Iterator[str]:
    node = printable(host.node or host.host_id)
    if host.status is None:
        yield f"{node}: no answer ({printable(host.missing) or 'none in time'})"
        return
    rejection = host.status.rejection
    if rejection is not None:
        what = f"rule {rejection.rule}" if rejection.rule else "the policy"
        yield f"{node}: {what} was rejected: {printable(rejection.reason)}"
        return
    for result in host.status.workers:
        if result.failure:
            worker = printable(result.traits.worker)
            yield f"worker '{worker}' on {node}: {printable(result.failure)}"
    if host.status.unlisted:
        count = _count(host.status.unlisted, "more worker")
        yield f"{node}: {count} not listed one by one"


def _bounded(lines: list[str]) -> tuple[str, ...]:
    left = len(lines) - LINES_MAX
    if left <= 0:
        return tuple(lines)
    return (*lines[:LINES_MAX], f"and {_count(left, 'line')} more like these")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
