"""Answers of the `Control` service in words.

Rules: pure; deadlines are shown as the time that is left, so the time comes in.
They are by the clock of whoever answered.
"""

from collections.abc import Iterable, Iterator, Sequence

from shmtel import _ring
from shmtel.cli.common import format_table, plain
from shmtel.cli.durations import format_duration
from shmtel.policy.model import FLEET, GUARD, Layer, Rule
from shmtel.policy.rules import is_live, slot_of
from shmtel.policy.text import rule_text
from shmtel.policy.verdicts import Verdict
from shmtel.wire.control import Explanation, HostReport, PolicyReport, WorkerStatus
from shmtel.wire.control_json import rate_of, says

_OTHER = "(any other name)"
_OWN = "the worker's own setting"


def policy_lines(report: PolicyReport, now_ns: int) -> list[str]:
    """Show the rules by layer, and what each host has made of them."""
    lines = [f"policy version {report.version}" if report.version else "no policy"]
    for layer in report.layers:
        lines += _layer_lines(layer, now_ns)
    for host in report.hosts:
        lines += ["", *_host_lines(host, now_ns)]
    return [plain(line) for line in lines]


def effective_lines(found: Sequence[Explanation], now_ns: int) -> list[str]:
    """Explain for each worker and event name what is in force, and why."""
    lines: list[str] = []
    for explanation in found:
        lines += ["", *_explanation_lines(explanation, now_ns)]
    return lines[1:]


def worker_lines(found: Iterable[WorkerStatus]) -> list[str]:
    """Put a line per ring."""
    header = ("WORKER", "POOL", "SERVICE", "NODE", "STATE", "PID", "INDEX", "LAST SEQ")
    rows = [
        (
            *(status.worker.worker_id, status.worker.pool_name),
            *(status.worker.service or "-", status.node),
            *("closed" if status.is_closed else "live", status.worker.pid),
            *(_index(status.worker.worker_index), status.last_seq),
        )
        for status in found
    ]
    return format_table(header, rows, texts=5)


def layer_name(name: str) -> str:
    """Say where a rule comes from."""
    named = {FLEET: "the fleet's policy", GUARD: "the guard rails of the host"}
    return named.get(name, f"overlay {name!r}")


def time_left(rule: Rule, now_ns: int) -> str:
    """Say how long a rule still counts; empty: for ever."""
    if rule.expires_ns == 0:
        return ""
    if not is_live(rule, now_ns):
        return "expired"
    return f"{format_duration((rule.expires_ns - now_ns) / 1e6)} left"


def verdict_text(verdict: Verdict) -> str:
    """Say what becomes of events."""
    rate = rate_of(verdict)
    if rate is not None:
        return {1.0: "all kept", 0.0: "none kept (rate 0)"}.get(rate, f"rate {rate:g}")
    return "denied" if says(verdict) == "denied" else "as the worker says"


def _layer_lines(layer: Layer, now_ns: int) -> Iterator[str]:
    yield ""
    yield f"{layer_name(layer.name)}:"
    live = [rule for rule in layer.rules if is_live(rule, now_ns)]
    last = {slot_of(rule): rule for rule in live}
    for number, rule in enumerate(layer.rules, 1):
        note = time_left(rule, now_ns)
        covering = last.get(slot_of(rule), rule)
        if covering is not rule and is_live(rule, now_ns):
            note = f"{note}, " if note else ""
            note += f"covered by rule {layer.rules.index(covering) + 1}"
        yield f"  {number}  {rule_text(rule)}{f'  ({note})' if note else ''}"
    if not layer.rules:
        yield "  no rules"


def _host_lines(host: HostReport, now_ns: int) -> Iterator[str]:
    status = host.status
    name = host.node or host.host_id
    if status is None:
        yield f"{name}: no answer ({host.missing or 'none yet'})"
        return
    in_force = status.in_force_version
    yield f"{name}: version {in_force} in force" if in_force else f"{name}: no policy"
    if status.rejection is not None:
        what = f"rule {status.rejection.rule}: " if status.rejection.rule else ""
        yield f"  version {status.version} rejected: {what}{status.rejection.reason}"
    for layer in status.local_layers:
        lines = list(_layer_lines(layer, now_ns))
        yield from (f"  {line}" for line in lines[1:])


def _explanation_lines(found: Explanation, now_ns: int) -> Iterator[str]:
    worker = found.worker
    yield plain(
        f"worker {worker.worker_id}  pool {worker.pool_name or '-'}  "
        f"service {worker.service or '-'}  node {found.node}  pid {worker.pid}"
    )
    if found.note:
        yield plain(f"note: {found.note}")
    state = "off" if found.enabled.word == _ring.RING_OFF else "on"
    yield plain(f"telemetry {state}: {_set_by(found.enabled, now_ns, 'no rule')}")
    rows = [
        (name, verdict_text(verdict), _set_by(verdict, now_ns, _OWN))
        for name, verdict in (*found.events.items(), (_OTHER, found.other))
    ]
    yield from format_table(("EVENT", "SAYS", "SET BY"), rows, texts=3)


def _set_by(verdict: Verdict, now_ns: int, otherwise: str) -> str:
    if verdict.rule is None:
        return otherwise
    left = time_left(verdict.rule, now_ns)
    rule = rule_text(verdict.rule)
    return f"{layer_name(verdict.layer)}: {rule}{f' ({left})' if left else ''}"


def _index(index: int | None) -> object:
    return "-" if index is None else index
