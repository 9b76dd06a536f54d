"""A whole line that is steered, and what arrives at its end.

The hub is in this process, the collector is a program, the workers are forked.
Changes go through the `Control` service, as those of any operator.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from shmtel.cli.control_client import ControlClient, Target, host_target, hub_target
from shmtel.hub import Hub
from shmtel.policy.model import Layer, Traits
from shmtel.wire.control import ChangeReport, ChangeRequest
from shmtel.wire.summary import summary
from support.acts import Act, Arrived, Expected, Share, arriving
from support.cohort import Cohort, Member
from support.collector_process import CollectorProcess
from support.policy_draws import Book
from support.policy_model import fate
from support.processes import wait_until
from support.program import fresh_namespace


@dataclass(slots=True)
class Worker:
    """A member of the cohort, and what selectors see of it."""

    member: Member
    traits: Traits
    own_rate: float = 1.0


class SteeredLine:
    """Hub, collector and workers; all of them end with the context."""

    def __init__(
        self, directory: Path, guard: Layer | None = None, config: str = ""
    ) -> None:
        """Prepare it; `guard` is what `config` says of guard rails."""
        self._directory = directory
        self._config = config
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._received: dict[str, Counter[Arrived]] = {}
        self.workers: dict[str, Worker] = {}
        self.book = Book(guard)

    def __enter__(self) -> "SteeredLine":
        enter = self._stack.enter_context
        self.namespace = enter(fresh_namespace())
        self.address = f"unix:{self._directory / 'hub.sock'}"
        self.start_hub()
        self._stack.callback(lambda: self.hub.stop())
        self.collector = enter(
            CollectorProcess(
                self.namespace, self.address, self._directory / "host", self._config
            )
        )
        self.cohort = enter(
            Cohort(self.namespace, self._directory, SHMTEL_RING_SIZE="8MiB")
        )
        self.node = self.wait_connected()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- the hub ---------------------------------------------------------------

    def start_hub(self) -> None:
        """Start a hub, from the state of the one before."""
        self.hub = Hub(self.address, state_dir=self._directory / "hub")
        self.hub.attach_batch("note", "*", self._note)
        self.hub.start()

    def wait_connected(self) -> str:
        """Wait for the collector; return its node."""

        def nodes() -> list[str]:
            return [host.node for host in self.hub.policy_report().hosts]

        node: str = wait_until(nodes)[0]
        return node

    def _note(self, batch: Any, _config: object) -> None:
        with self._lock:
            noted = self._received.setdefault(batch.worker.worker_id, Counter())
            for record in batch.records:
                number = (record.metadata or {}).get("n", -1)
                name = batch.names[record.event_id]
                noted[name, number, record.sampling_probability] += 1

    def take(self) -> Mapping[str, Counter[Arrived]]:
        """Wait until nothing is on its way, and take what has arrived."""
        self.collector.wait_quiet()
        with self._lock:
            taken, self._received = self._received, {}
        return taken

    # -- the workers -----------------------------------------------------------

    def fork(self, traits: Traits, own_rate: float = 1.0, **variables: str) -> Worker:
        """Have one more worker."""
        member = self.cohort.fork(
            SHMTEL_WORKER_ID=traits.worker,
            SHMTEL_POOL_NAME=traits.pool,
            SHMTEL_SERVICE_NAME=traits.service,
            SHMTEL_SAMPLING_RATE=str(own_rate),
            **variables,
        )
        traits = Traits(traits.worker, traits.pool, traits.service, self.node)
        worker = self.workers[traits.worker] = Worker(member, traits, own_rate)
        return worker

    def warm_up(self, plain: Sequence[str], operations: Sequence[str]) -> None:
        """Have all workers use names, and wait until the collector knows them."""
        spans = [Act(name, -1, is_span=True) for name in operations]
        for worker in self.workers.values():
            worker.member.do([*(Act(name, -1) for name in plain), *spans])
            worker.member.answer()
        self.take()

    # -- control ---------------------------------------------------------------

    def change(self, request: ChangeRequest) -> ChangeReport:
        """Make a change, at the collector if it names an overlay; all apply it."""
        with ControlClient(self._target(request.overlay)) as client:
            report = client.change(request)
        outcome = summary(report)
        assert outcome.is_complete, str(outcome)
        assert report.hosts
        self.book.note(request)
        return report

    def _target(self, overlay: str) -> Target:
        if overlay:
            return host_target(self.namespace, self.collector.socket)
        return hub_target(self.address)

    # -- the oracle ------------------------------------------------------------

    def expected(self, worker: Worker, acts: Sequence[Act], roots: Any) -> Expected:
        """Return what the model lets arrive of what a worker did just now."""
        layers, now_ns = self.book.layers(), time.time_ns()
        fates: dict[str, Any] = {}

        def fate_of(name: str) -> Any:
            if name not in fates:
                fates[name] = fate(layers, worker.traits, name, now_ns, worker.own_rate)
            return fates[name]

        root_ids = {int(number): span_id for number, span_id in roots.items()}
        return arriving(acts, fate_of, worker.own_rate, root_ids)

    def check(
        self,
        acts: Mapping[str, Sequence[Act]],
        share: Share,
        about: str,
        between: Callable[[], None] = lambda: None,
    ) -> int:
        """Have workers act, and compare what arrives with what the model says.

        Args:
            between: runs when they have acted.

        Returns:
            How many events arrived.
        """
        for worker_id, todo in acts.items():
            self.workers[worker_id].member.do(todo)
        expected = {
            worker_id: self.expected(worker, todo, worker.member.answer())
            for worker_id, todo in acts.items()
            for worker in (self.workers[worker_id],)
        }
        between()
        received = self.take()
        for worker_id, wanted in expected.items():
            compare(
                wanted,
                received.get(worker_id, Counter()),
                share,
                f"{about}, {worker_id}",
            )
        return sum(received.get(worker_id, Counter()).total() for worker_id in acts)

    def check_accounts(self) -> None:
        """See that every event is accounted for, and none dropped, lost or rejected."""
        total = self.collector.wait_quiet().total
        assert total.unaccounted == 0, total
        refused = (total.dropped, total.rejected, total.lost)
        assert not any(sum(counts.values()) for counts in refused), total


def compare(
    expected: Expected, received: Counter[Arrived], share: Share, about: str
) -> None:
    """Compare event by event; of those with an unknown draw, note the share."""
    assert max(received.values(), default=1) == 1, f"{about}: an event came twice"
    came = received.keys()
    lost = expected.certain - came
    assert not lost, f"{about}: did not arrive: {sorted(lost)[:5]}"
    surplus = came - expected.certain - expected.possible.keys()
    assert not surplus, f"{about}: should not have arrived: {sorted(surplus)[:5]}"
    share.kept += len(came & expected.possible.keys())
    share.expected += sum(expected.possible.values())
    share.variance += sum(rate * (1 - rate) for rate in expected.possible.values())
