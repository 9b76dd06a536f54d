"""How much a peer may say of itself, and how a status is cut to that.

What a hub remembers of a host and its rings is bounded by this: texts, and the
names under which something is counted.

A PolicyStatus lists every worker of a host, with names that the workers chose, and
travels in one message. One that is too large would end the stream, and so would
the same one on the next stream: the collector cuts it, and the hub refuses what
is not cut.

Rules:
- pure functions; what is cut shows: workers are counted as unlisted, and a layer
  without room says so in its name;
- workers that failed stay in the list longest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from shmtel.policy.model import (
    Filter,
    Layer,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    WorkerResult,
)
from shmtel.policy.rules import RULES_MAX, patterns_flaw
from shmtel.wire.frames import (
    Counters,
    Hello,
    HostCounters,
    RingClosed,
    RingCounters,
    Welcome,
    Worker,
    WorkerCounters,
)
from shmtel.wire.protocol import OUTCOME_SLOTS

INTERVAL_MIN_MS, INTERVAL_MAX_MS = 10, 60_000
HELLO_TEXT_MAX = 255  # characters of each text
WORKER_TEXT_MAX = 8_192  # characters over all fields; a ring holds less than 4 KiB
WORKERS_MAX = 4_096
WORKERS_TEXT_MAX = 640 << 10  # characters of all workers
COUNTED_RINGS_MAX = 3_000  # in one frame: some 200 KB
LAYERS_MAX = 32
LAYERS_TEXT_MAX = 256 << 10  # characters of all layers
REASON_MAX = 1_000
COUNTED_MAX = 64  # reasons under which one thing is counted
COUNTED_NAME_MAX = 64  # characters of such a reason
_FAILURE_MAX = 200
_ITEM = 64  # characters that stand for the rest of a worker or a rule
_CUT = " (too large to be listed)"


def hello_flaw(hello: Hello) -> str | None:
    """Say which text of a Hello is too long."""
    longest = max(map(len, _texts_of(hello)))
    return None if longest <= HELLO_TEXT_MAX else f"{longest} characters in a Hello"


def welcome_flaw(welcome: Welcome) -> str | None:
    """Say which of the terms of a hub nobody can keep."""
    interval_ms = welcome.heartbeat_interval_ms
    if not INTERVAL_MIN_MS <= interval_ms <= INTERVAL_MAX_MS:
        return "a heartbeat interval out of range"
    is_none = welcome.max_batch_bytes == 0
    return "no batch would be small enough" if is_none else None


def worker_flaw(worker: Worker) -> str | None:
    """Say whether there is too much about a worker."""
    size = sum(map(len, _texts_of(worker)))
    return None if size <= WORKER_TEXT_MAX else f"{size} characters about a worker"


def closed_flaw(closed: RingClosed) -> str | None:
    """Say whether there is too much about the end of a ring."""
    if len(closed.reason) > COUNTED_NAME_MAX:
        return "a ring closed for too long a reason"
    return _worker_counters_flaw(closed.counters)


def counters_flaw(frame: Counters) -> str | None:
    """Say what is wrong with the size of early counters."""
    numbers = {ring.ring for ring in frame.rings}
    if len(numbers) < len(frame.rings):
        return "counters of one ring twice"
    flaws = (_worker_counters_flaw(ring.counters) for ring in frame.rings)
    return next(filter(None, flaws), None) or _host_counters_flaw(frame.host)


def _worker_counters_flaw(counters: WorkerCounters) -> str | None:
    return _counts_flaw(counters.dropped)


def _host_counters_flaw(host: HostCounters) -> str | None:
    if any(not 0 <= outcome < OUTCOME_SLOTS for outcome in host.evicted):
        return "counters of an outcome out of range"
    tables = (host.refused, host.quarantined, host.spool_refused)
    return next(filter(None, map(_counts_flaw, tables)), None)


def _counts_flaw(counts: Mapping[str, int]) -> str | None:
    if len(counts) > COUNTED_MAX:
        return f"counts under {len(counts)} reasons"
    longest = max(map(len, counts), default=0)
    return "a count under too long a reason" if longest > COUNTED_NAME_MAX else None


def fitted(status: PolicyStatus) -> PolicyStatus:
    """Return a status that a hub accepts."""
    workers = _fitting(status.workers)
    rejection = status.rejection
    if rejection is not None:
        rejection = Rejection(rejection.rule, rejection.reason[:REASON_MAX])
    return replace(
        status,
        rejection=rejection,
        workers=workers,
        unlisted=status.unlisted + len(status.workers) - len(workers),
        local_layers=_fitting_layers(status.local_layers),
    )


def status_flaw(status: PolicyStatus) -> str | None:
    """Say what is wrong with the size of a status."""
    if status.rejection is not None and len(status.rejection.reason) > REASON_MAX:
        return "a rejection with too long a reason"
    if max(len(status.origin), len(status.in_force_origin)) > REASON_MAX:
        return "an origin that is too long"
    if len(status.workers) > WORKERS_MAX:
        return f"a status of {len(status.workers)} workers"
    if sum(map(_worker_size, status.workers)) > WORKERS_TEXT_MAX:
        return "a status with too much text about workers"
    if len(status.local_layers) > LAYERS_MAX:
        return f"a status with {len(status.local_layers)} layers"
    if any(len(layer.rules) > RULES_MAX for layer in status.local_layers):
        return f"a layer of more than {RULES_MAX} rules"
    if sum(map(_layer_size, status.local_layers)) > LAYERS_TEXT_MAX:
        return "a status with too much text in its layers"
    rules = (rule for layer in status.local_layers for rule in layer.rules)
    return next(filter(None, map(patterns_flaw, rules)), None)


def fitted_counters(
    rings: Sequence[RingCounters], host: HostCounters
) -> list[Counters]:
    """Return counters as frames that a hub accepts; of no ring it is one frame."""
    starts = range(0, max(len(rings), 1), COUNTED_RINGS_MAX)
    return [Counters(tuple(rings[at : at + COUNTED_RINGS_MAX]), host) for at in starts]


def _texts_of(frame: Hello | Worker) -> list[str]:
    values = (getattr(frame, field.name) for field in fields(frame))
    return [value for value in values if isinstance(value, str)]


def _fitting(workers: Iterable[WorkerResult]) -> tuple[WorkerResult, ...]:
    kept: list[WorkerResult] = []
    size = 0
    for result in sorted(workers, key=lambda result: not result.failure):
        short = replace(result, failure=result.failure[:_FAILURE_MAX])
        size += _worker_size(short)
        if len(kept) == WORKERS_MAX or size > WORKERS_TEXT_MAX:
            break
        kept.append(short)
    return tuple(kept)


def _fitting_layers(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    kept: list[Layer] = []
    room = LAYERS_TEXT_MAX
    for layer in layers[:LAYERS_MAX]:
        if _layer_size(layer) > room - 2 * _ITEM * LAYERS_MAX:
            layer = replace(layer, name=f"{layer.name[:_ITEM]}{_CUT}", rules=())
        room -= _layer_size(layer)
        kept.append(layer)
    return tuple(kept)


def _worker_size(result: WorkerResult) -> int:
    traits = result.traits
    texts = (traits.worker, traits.pool, traits.service, result.failure)
    return _ITEM + sum(map(len, texts))


def _layer_size(layer: Layer) -> int:
    return len(layer.name) + sum(map(_rule_size, layer.rules))


def _rule_size(rule: Rule) -> int:
    selector, action = rule.selector, rule.action
    globs = (selector.worker, selector.pool, selector.service, selector.node)
    patterns: tuple[str, ...] = ()
    if isinstance(action, Sampling):
        patterns = action.patterns
    elif isinstance(action, Filter):
        patterns = action.allow + action.deny
    return _ITEM + sum(map(len, globs + patterns)) + len(patterns)
