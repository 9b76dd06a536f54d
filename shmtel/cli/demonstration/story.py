"""What happens in the demonstration, step by step, and what must come true.

A step does something, and returns verdicts: a claim, whether it held, and the
numbers it is judged by. Nothing is claimed that was not measured in this run.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shmtel.cli import children
from shmtel.cli.demonstration.stage import Stage
from shmtel.cli.demonstration.tally import RingTally
from shmtel.cli.demonstration.workers import FUNCTION_EVENT
from shmtel.cli.ledger import format_ledger
from shmtel_collector.ledger import read_ledger

START_S = 15.0
RATE = 0.1
_PAUSE_S = 0.6
_ARRIVAL_S = 8.0
_CONTROL_MS = 1000.0  # far above what is usual; a busy machine must not fail it


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim, and whether it came true."""

    claim: str
    held: bool
    numbers: str


def start(stage: Stage) -> Iterator[Verdict]:
    """Wait for the first events of every worker."""
    count = len(stage.pids)
    held = children.wait_until(lambda: len(stage.tally.snapshot()) == count, START_S)
    stage.watch(5.0)
    events = sum(ring.events for ring in stage.tally.snapshot().values())
    yield Verdict(
        f"{count} forked workers are heard", held, f"{events} events have arrived"
    )


def lower_sampling(stage: Stage) -> Iterator[Verdict]:
    """Keep a tenth of one kind of event, and look at what that does."""
    called_ns = time.time_ns()
    stage.hub.update_sampling("*", RATE, [FUNCTION_EVENT])
    has_acted = children.wait_until(lambda: bool(_first_sampled(stage)), _ARRIVAL_S)
    took_ms = (min(_first_sampled(stage), default=0) - called_ns) / 1e6
    yield Verdict(
        f"the new rate of {FUNCTION_EVENT} acts in busy workers",
        # Negative: it waited in its ring when the collector was told.
        has_acted and took_ms < _CONTROL_MS,
        f"first event under it emitted {took_ms:.1f} ms after the call",
    )
    before, left_out = _functions(stage), _sampled_out(stage)
    stage.watch(5.0)
    after, left_out = _functions(stage), _sampled_out(stage) - left_out
    arrived, scaled = after[0] - before[0], after[1] - before[1]
    share = arrived / max(arrived + left_out, 1)
    yield Verdict(
        "about a tenth of them arrive; the workers count the rest as sampled_out",
        0.5 * RATE < share < 1.5 * RATE,
        f"{arrived} arrived, {left_out} sampled out ({share:.1%} kept); "
        f"scaled by their probability they stand for {scaled:.0f}",
    )


def _first_sampled(stage: Stage) -> list[int]:
    rings = stage.tally.snapshot().values()
    return [ring.first_sampled_ns for ring in rings if ring.first_sampled_ns]


def _functions(stage: Stage) -> tuple[int, float]:
    rings = stage.tally.snapshot().values()
    return sum(r.functions for r in rings), sum(r.functions_scaled for r in rings)


def _sampled_out(stage: Stage) -> int:
    return sum(ring.sampled_out for ring in stage.look().values())


def kill_worker(stage: Stage) -> Iterator[Verdict]:
    """Kill a worker while the collector is stopped, so that only its ring knows.

    The collector stands still for a moment, or it would have read the last
    events before anyone could see them in the ring of a dead process.
    """
    victim = stage.pids[0]
    ring_id = next(
        ring_id
        for ring_id, ring in stage.tally.snapshot().items()
        if ring.pid == victim
    )
    os.kill(stage.collector.pid, signal.SIGSTOP)
    try:
        stage.watch(_PAUSE_S)
        before = stage.tally.snapshot()[ring_id]
        # On a busy machine a worker may not have come to emit in the meantime.
        children.wait_until(
            lambda: stage.look()[ring_id].committed > before.events, _ARRIVAL_S
        )
        os.kill(victim, signal.SIGKILL)
        children.wait_until(lambda: stage.look()[ring_id].state == "dead", _ARRIVAL_S)
        ring = stage.look()[ring_id]
    finally:
        os.kill(stage.collector.pid, signal.SIGCONT)
    left = ring.committed - before.events
    yield Verdict(
        f"worker {victim} is killed with SIGKILL in the middle of its work",
        ring.state == "dead" and left > 0,
        f"{left} events that nobody has read lie in the ring of a dead process",
    )
    yield from _last_events(stage, ring_id, ring.committed)


def _last_events(stage: Stage, ring_id: str, committed: int) -> Iterator[Verdict]:
    def tally() -> RingTally:
        return stage.tally.snapshot()[ring_id]

    def is_finished() -> bool:
        return stage.state(ring_id) == "finished"

    held = children.wait_until(is_finished, _ARRIVAL_S)
    for line in tally().last:
        stage.screen.say(f"    {line}")
    yield Verdict(
        "its last events arrive, in order, and its ring is removed",
        # The counter in the ring may lag behind the records by one call.
        held
        and tally().last_seq in (committed, committed + 1)
        and not tally().disorder,
        f"{tally().events} have arrived, the last is seq {tally().last_seq}; "
        f"it died while parsing {tally().open_file}",
    )
    stage.watch(3.0)


def settle(stage: Stage) -> Iterator[Verdict]:
    """End the workers, wait for the last ring, and draw up the accounts."""
    stage.stop_workers()
    children.wait_until(lambda: stage.are_workers_finished(), _ARRIVAL_S)
    stage.watch(0.3)
    stage.screen.leave_table()
    children.stop_verb(stage.collector)  # which ends the ring of its own events
    left = len(stage.home.scan(stage.namespace))
    yield Verdict(
        "every ring has been drained and removed",
        left == 0,
        f"{left} rings are left",
    )
    ledger = read_ledger(stage.namespace, stage.state_dir, stage.home)
    for line in format_ledger(ledger):
        stage.screen.say(f"    {line}".rstrip())
    total = ledger.total
    arrived = sum(ring.events for ring in stage.tally.snapshot().values())
    yield Verdict(
        "the handler has seen each delivered event, and each once",
        arrived == total.delivered and not _disorder(stage),
        f"{arrived} seen, {total.delivered} delivered, {_disorder(stage)} out of order",
    )
    yield Verdict(
        "nothing is unaccounted",
        total.unaccounted == 0
        and {ring.pid for ring in ledger.rings} >= set(stage.pids),
        f"{total.emitted} emitted, {total.unaccounted} unaccounted",
    )


def _disorder(stage: Stage) -> int:
    return sum(ring.disorder for ring in stage.tally.snapshot().values())


Step = Callable[[Stage], Iterator[Verdict]]
STORY: tuple[tuple[str, Step], ...] = (
    ("Workers parse and tokenize the standard library; their events arrive", start),
    (f"Sampling of {FUNCTION_EVENT} is lowered to {RATE:.0%}", lower_sampling),
    ("A worker is killed", kill_worker),
    ("The workers end; the ledger", settle),
)
