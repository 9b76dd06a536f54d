"""A whole line whose workers act by seed, and a judge of what arrives."""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from shmtel.hub import Hub
from shmtel.hub.dispatch import EventBatch
from shmtel.policy.model import FLEET, Layer
from shmtel.wire.control import ChangeReport
from shmtel.wire.summary import summary
from support.acts import ALL, USUAL, Expected, acts_of, expected_of
from support.collector_process import CollectorProcess
from support.processes import wait_until
from support.program import fresh_namespace
from support.puppets import Puppets, traits_of

WAIT_S = 20.0
_BEGINNINGS = 1_000  # rounds from here on register names
_DEVIATIONS = 7.0  # a false alarm in 4 x 10^11 checks
Key = tuple[str, int, str]  # worker id, number of the act, event name


class Arrivals:
    """A batch handler that remembers what arrives."""

    def __init__(self) -> None:
        self.probabilities: dict[Key, float] = {}
        self.by_id: Counter[tuple[str, str | None]] = Counter()
        self.spans: dict[str, list[str]] = {}
        self.names: Counter[str] = Counter()
        self.node = ""
        self.repeated: list[tuple[str, int]] = []
        self._seqs: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def take(self, batch: EventBatch, _config: object) -> None:
        """Remember a batch."""
        with self._lock:
            self.node = batch.node
            for record in batch.records:
                place = (batch.ring_id, record.seq)
                if place in self._seqs:
                    self.repeated.append(place)
                self._seqs.add(place)
                self._note(batch, record)

    def _note(self, batch: EventBatch, record: Any) -> None:
        name, worker = batch.names[record.event_id], batch.worker.worker_id
        self.names[name] += 1
        self.by_id[worker, record.correlation_id] += 1
        if record.span_id is not None:
            self.spans.setdefault(record.span_id, []).append(name)
        number = record.measurements.get("n", (record.metadata or {}).get("n"))
        if number is not None:
            self.probabilities[worker, number, name] = record.sampling_probability


class EffectLine:
    """Hub, collector and forked workers; what the workers do is judged."""

    def __init__(self, stack: ExitStack, directory: Path, workers: int) -> None:
        self.namespace = stack.enter_context(fresh_namespace())
        self.arrivals = Arrivals()
        self.hub = stack.enter_context(Hub(f"unix:{directory / 'hub.sock'}"))
        self.hub.attach_batch("arrivals", "*", self.arrivals.take)
        self.collector = stack.enter_context(
            CollectorProcess(self.namespace, self.hub.address, directory / "collector")
        )
        self._beginnings = _BEGINNINGS
        variables = {"SHMTEL_RING_SIZE": "8MiB"}
        self.workers = stack.enter_context(
            Puppets(self.namespace, workers, **variables)
        )

    def begin(self) -> None:
        """Register every name, under no policy at all, and see all of it arrive."""
        self.workers.act(0, self._beginnings, ALL)
        self.settle()
        self.check(0, self._beginnings, (), ALL)
        self._beginnings += 1

    def begin_anew(self) -> None:
        """The same, once workers have come."""
        all_applied(self.hub.reset_policy(wait=WAIT_S))
        self.begin()

    def settle(self) -> None:
        """Wait until every event is where it ends."""
        wait_until(self._is_settled, WAIT_S)

    def _is_settled(self) -> bool:
        total = self.collector.ledger().total
        return total.committed > 0 and not total.in_ring + total.in_flight

    @property
    def node(self) -> str:
        """Name of the host, as selectors see it."""
        return self.arrivals.node

    def fleet_layer(self) -> Layer:
        """What the hub wants."""
        return Layer(FLEET, self.hub.policy.rules)

    def check(
        self, seed: int, round_: int, layers: Sequence[Layer], style: str = USUAL
    ) -> None:
        """Compare what has arrived of a round with what the model says."""
        now_ns = time.time_ns()
        wrong: list[str] = []
        chances: list[tuple[Expected, bool]] = []
        for worker in range(self.workers.count):
            traits = traits_of(worker, self.node)
            for act in acts_of(seed, round_, worker, style):
                expected = list(expected_of(act, layers, traits, now_ns))
                wrong += self._wrong(traits.worker, act, expected)
                chances += self._chances(traits.worker, expected)
        assert not wrong, f"seed {seed} round {round_}: {len(wrong)}: {wrong[:8]}"
        _check_chances(chances)
        assert not self.arrivals.repeated

    def check_accounts(self) -> None:
        """See that nothing was dropped, lost or left unaccounted."""
        total = self.collector.ledger().total
        assert total.unaccounted == 0, total
        assert not sum(total.dropped.values()), total
        assert not sum(total.rejected.values()), total
        assert not sum(total.lost.values()), total

    def _wrong(
        self, worker: str, act: object, expected: Iterable[Expected]
    ) -> Iterator[str]:
        for event in expected:
            found = self._found(worker, event.number, event.name)
            wanted = event.arrives
            if event.with_event:
                wanted = self._found(worker, event.number, event.with_event) is not None
            if wanted is not None and wanted != (found is not None):
                yield f"{worker} {act} {event.name}: wanted {wanted}, found {found}"
            elif found is not None and abs(found - event.probability) > 1e-9:
                yield f"{worker} {act} {event.name}: {found}, not {event.probability}"

    def _chances(
        self, worker: str, expected: Iterable[Expected]
    ) -> Iterator[tuple[Expected, bool]]:
        for event in expected:
            if event.arrives is None and not event.with_event:
                found = self._found(worker, event.number, event.name)
                yield event, found is not None

    def _found(self, worker: str, number: int, name: str) -> float | None:
        return self.arrivals.probabilities.get((worker, number, name))


def _check_chances(chances: Sequence[tuple[Expected, bool]]) -> None:
    """What is left to chance comes as often as it should, within the bound."""
    mean = sum(event.probability for event, _ in chances)
    variance = sum(e.probability * (1 - e.probability) for e, _ in chances)
    found = sum(arrived for _, arrived in chances)
    assert abs(found - mean) <= _DEVIATIONS * math.sqrt(variance) + 1, (found, mean)


def all_applied(report: ChangeReport) -> bool:
    """Say whether everybody has answered that a change is in force."""
    found = summary(report)
    assert found.is_complete, str(found)
    return found.is_complete


@contextmanager
def effect_line(directory: Path, workers: int = 6) -> Iterator[EffectLine]:
    """Run a line until the context ends; all names are known when it begins."""
    with ExitStack() as stack:
        line = EffectLine(stack, directory, workers)
        line.begin()
        yield line
