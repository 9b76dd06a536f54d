"""Changes of sampling while workers emit, and what must hold whatever the timing.

- A span has both of its events or none, also when the rate changes while it is open.
- A correlation ID that every rate in play keeps is there in full, in all workers
  that share it; one that none keeps is not there at all.
- Scaled counts come out as what was emitted, within a bound.
- Nothing comes twice, and the ledger balances: also that of the workers' counters.
"""

import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

from shmtel.policy.model import Rule, Sampling, Selector, Traits
from shmtel.wire.control import ChangeRequest, ReplaceRules
from support.acts import Arrived
from support.policy_draws import WAIT_MS
from support.policy_model import draw_of, threshold_of
from support.program import shmtel
from support.steered_line import SteeredLine

WORKERS = 5
NAMES = ("load.a", "load.b", "other.c")
OPERATIONS = ("load.work", "other.work")
PATTERNS = ((), (), ("load.*",), ("*.start",), ("*.stop", "*.exception", "*.c"))
_BAND = (0.2, 0.3, 0.5, 0.7)
_DEVIATIONS = 6.0
Story = dict[str, Any]  # what a worker says that it has done


def run_load(seed: int, directory: Path, changes: int) -> None:
    """Change the rates while workers emit, and look at all of it afterwards."""
    draws = Random(seed)
    with SteeredLine(directory) as line:
        for number in range(WORKERS):
            line.fork(Traits(f"w-{number}", "pool", "service"))
        _change(line, draws)
        members = {name: worker.member for name, worker in line.workers.items()}
        for number, member in enumerate(members.values()):
            member.tell("load", seed + number, NAMES, OPERATIONS)
        for _ in range(changes):
            _change(line, draws)
            time.sleep(draws.random() / 50)  # spreads the changes, waits for nothing
        stories: dict[str, Story] = {
            name: member.ask("rest") for name, member in members.items()
        }
        received = line.take()
        for name, story in stories.items():
            _check_worker(story, received[name], name)
        _check_shared(stories, received)
        _check_counts(line, received)


def _change(line: SteeredLine, draws: Random) -> None:
    """Set a rate for all, and perhaps another one for some; all within the band."""
    rules = [Rule(Selector(), Sampling(draws.choice(_BAND)))]
    for _ in range(draws.randrange(3)):
        action = Sampling(draws.choice(_BAND), draws.choice(PATTERNS))
        rules.append(Rule(Selector(draws.choice(("*", "w-[0-2]"))), action))
    line.change(ChangeRequest(ReplaceRules(tuple(rules)), WAIT_MS))


def _check_worker(story: Story, received: Counter[Arrived], about: str) -> None:
    assert max(received.values()) == 1, f"{about}: an event came twice"
    moments: dict[tuple[str, int], list[str]] = defaultdict(list)
    scaled: Counter[str] = Counter()
    for name, number, probability in received:
        operation, _, moment = name.rpartition(".")
        if moment in ("start", "stop", "exception"):
            moments[operation, number].append(moment)
        scaled["spans" if moment == "start" else name] += 1 / probability
    torn = {span: ends for span, ends in moments.items() if not _is_whole(ends)}
    assert not torn, f"{about}: {len(torn)} spans are torn: {list(torn.items())[:5]}"
    assert moments, f"{about}: no span arrived"
    for name in NAMES:
        done = [event for event in story["events"] if event[1] == name]
        _check_estimate(scaled[name], [event[2] for event in done], f"{about}: {name}")
    # An inner span has the draw of the one around it.
    ids = [span[2] for span in story["spans"] for _ in range(2)]
    ids = [name or f"root {i // 2}" for i, name in enumerate(ids)]
    _check_estimate(scaled["spans"], ids, f"{about}: spans")


def _is_whole(moments: list[str]) -> bool:
    return len(moments) == 2 and "start" in moments


def _check_estimate(scaled: float, ids: list[str | None], about: str) -> None:
    """Compare a scaled count with the true one; events of one ID vary together."""
    alone = sum(name is None for name in ids)
    together = Counter(name for name in ids if name is not None)
    spread = alone + sum(count**2 for count in together.values())
    bound = _DEVIATIONS * (spread * (1 / min(_BAND) - 1)) ** 0.5
    assert abs(scaled - len(ids)) <= bound, f"{about}: {scaled}, not {len(ids)}"


def _check_shared(
    stories: dict[str, Story], received: "dict[str, Counter[Arrived]]"
) -> None:
    """See that IDs outside the band are whole or absent, over all workers."""
    arrived = {
        worker: {(name, number) for name, number, _ in events}
        for worker, events in received.items()
    }
    whole: Counter[str] = Counter()
    for worker, story in stories.items():
        for number, name, correlation_id in story["events"]:
            if correlation_id is None:
                continue
            draw, is_there = draw_of(correlation_id), (name, number) in arrived[worker]
            if draw >= (threshold_of(min(_BAND)) or 0):
                assert is_there, f"{correlation_id} is split: {worker}, {number}"
                whole["kept"] += 1
            elif draw < (threshold_of(max(_BAND)) or 0):
                assert not is_there, f"{correlation_id} is split: {worker}, {number}"
                whole["left out"] += 1
    assert min(whole["kept"], whole["left out"]) > 0, "no ID outside of the band"


def _check_counts(line: SteeredLine, received: "dict[str, Counter[Arrived]]") -> None:
    """Compare the counts of workers, hub and collector, the latter by its program."""
    for name, worker in line.workers.items():
        counts = worker.member.ask("stats")
        (status,) = (w for w in line.hub.list_workers() if w.worker.worker_id == name)
        assert status.last_seq == counts["committed"]
        assert sum(status.totals.values()) == counts["committed"]
        assert status.totals[0] == received[name].total()
        left_out = counts["sampled_out"]
        assert counts["emitted"] == counts["committed"] + left_out, counts
    line.check_accounts()
    place = (
        "--namespace",
        line.namespace,
        "--state-dir",
        str(line.collector.state_dir),
    )
    done = shmtel("ledger", "--assert", *place)
    assert done.returncode == 0, done.stdout + done.stderr
