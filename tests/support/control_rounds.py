"""Rounds of a random change and what it does to the events of all workers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from shmtel.policy.model import GUARD, Filter, Layer, Rule, Sampling, Selector, Traits
from support.acts import OPERATIONS, PLAIN_NAMES, Share, random_acts
from support.policy_draws import POOLS, SERVICES, random_request
from support.steered_line import SteeredLine

WORKERS = 6
ACTS = 120  # of a worker in a round
ALL = (PLAIN_NAMES, OPERATIONS)
OVERLAYS = ("local", "night")
GUARD_CONFIG = """
[guard]
deny = ["*.op7.stop", "bridge.*07"]
[[guard.rules]]
pool = "web*"
rate = 0.7
patterns = ["snake.*"]
"""
GUARD_RULES = (
    Rule(Selector(), Filter((), ("*.op7.stop", "bridge.*07"))),
    Rule(Selector(pool="web*"), Sampling(0.7, ("snake.*",))),
)


class Rounds:
    """Workers of a line, and what they do in each round.

    They begin with half of the names and use all of them later, so that there are
    new ones in most rounds. One samples by its own setting: it uses only the names
    that it began with, because a new one goes by that setting until it is seen.
    """

    def __init__(self, seed: int, line: SteeredLine) -> None:
        self.draws = Random(seed)
        self.line = line
        self._seed = seed
        self._known = (
            self.draws.sample(PLAIN_NAMES, 80),
            self.draws.sample(OPERATIONS, 16),
        )
        self._share = Share()
        self._arrived = 0
        self._acts = 0
        for number in range(WORKERS):
            self.fork(f"w-{number}")
        self._own = self.fork("w-own", own_rate=0.5)
        line.warm_up(*self._known)

    def fork(self, worker_id: str, own_rate: float = 1.0) -> str:
        """Have one more worker, of some pool and service; return its id."""
        pool, service = self.draws.choice(POOLS), self.draws.choice(SERVICES)
        self.line.fork(Traits(worker_id, pool, service), own_rate)
        return worker_id

    def change(self) -> None:
        """Make a change, at the hub or in an overlay of the host, and wait."""
        overlay = self.draws.choice(("", "", "", *OVERLAYS))
        line = self.line
        line.change(random_request(self.draws, line.book, line.node, overlay))

    def check(self, about: str, between: Callable[[], None] = lambda: None) -> None:
        """Have all workers act, and compare; `between` runs when they have."""
        acts = {
            worker_id: random_acts(
                self.draws, ACTS, *(self._known if worker_id == self._own else ALL)
            )
            for worker_id in self.line.workers
        }
        about = f"seed {self._seed}, {about}, {self.line.book.layers()}"
        self._arrived += self.line.check(acts, self._share, about, between)
        self._acts += sum(map(len, acts.values()))

    def finish(self) -> None:
        """See that enough arrived to mean something, and that nothing is missing."""
        assert self._arrived > self._acts / 8, "hardly anything arrived"
        assert self._share.is_plausible(), self._share
        self.line.check_accounts()


def run_rounds(seed: int, directory: Path, rounds: int) -> None:
    """Run some rounds; in every third a worker starts after the change.

    Every other seed has guard rails.
    """
    guard = Layer(GUARD, GUARD_RULES, is_guard=True) if seed % 2 else None
    config = GUARD_CONFIG if seed % 2 else ""
    with SteeredLine(directory, guard, config) as line:
        run = Rounds(seed, line)
        run.check("before any change")
        for round_ in range(rounds):
            run.change()
            if round_ % 3 == 2:
                run.fork(f"late-{round_}")
            run.check(f"round {round_}")
        run.finish()


def run_restarts(seed: int, directory: Path, rounds: int) -> None:
    """Run rounds in which the hub, the collector or both are not there.

    The workers act while they are away, so what arrives in the end was judged by
    words of before, by the rules that were kept, or by both.
    """
    with SteeredLine(directory) as line:
        run = Rounds(seed, line)
        for round_ in range(rounds):
            run.change()
            _LEAVE[round_ % 3](line)
            run.fork(f"late-{round_}")
            run.check(f"round {round_}", partial(_RETURN[round_ % 3], line))
            line.wait_connected()
        run.finish()


def _without_collector(line: SteeredLine) -> None:
    line.collector.kill()


def _without_hub(line: SteeredLine) -> None:
    line.hub.stop()


def _without_both(line: SteeredLine) -> None:
    line.hub.stop()
    line.collector.kill()


def _with_collector(line: SteeredLine) -> None:
    line.collector.start()


def _with_hub(line: SteeredLine) -> None:
    line.start_hub()


def _with_both(line: SteeredLine) -> None:
    line.collector.start()
    line.start_hub()


_LEAVE = (_without_collector, _without_hub, _without_both)
_RETURN = (_with_collector, _with_hub, _with_both)
