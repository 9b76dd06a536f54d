"""The `Control` service: its methods, and its messages as plain data.

One class per message of protos/shmtel/v1/control.proto; what the fields mean
stands there. `control_codec` puts them into bytes and back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shmtel.policy.model import Layer, PolicyStatus, Rule
from shmtel.policy.verdicts import Verdict
from shmtel.wire.frames import HostCounters, Worker, WorkerCounters

SERVICE = "shmtel.v1.Control"
CHANGE_POLICY = "ChangePolicy"
GET_POLICY = "GetPolicy"
EXPLAIN_POLICY = "ExplainPolicy"
LIST_WORKERS = "ListWorkers"
LEDGER = "Ledger"


@dataclass(frozen=True, slots=True)
class SetRule:
    """Add a rule, or replace the same one."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class SetRules:
    """Add or replace several rules at once, in this order."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RemoveRule:
    """Remove the rules that are the same as one."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class ReplaceRules:
    """Replace all rules; by none: go back to no rules."""

    rules: tuple[Rule, ...] = ()


Change = SetRule | SetRules | RemoveRule | ReplaceRules


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A change of a policy, or of a collector's overlay.

    Attributes:
        wait_ms: how long to wait for the answers of collectors.
        lifetime_ms: after which the rules that are set expire; 0: never.
        overlay: on a collector, its name; empty: `local`.
    """

    change: Change
    wait_ms: int = 0
    lifetime_ms: int = 0
    overlay: str = ""


@dataclass(frozen=True, slots=True)
class HostReport:
    """One host's answer to a policy.

    Attributes:
        status: None: there is no answer (yet).
        missing: why there is none.
    """

    node: str
    host_id: str
    status: PolicyStatus | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What became of a change."""

    origin: str
    version: int
    hosts: tuple[HostReport, ...] = ()
    duration_ns: int = 0


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """The rules, by layer, and what each host has made of them."""

    origin: str
    version: int
    layers: tuple[Layer, ...] = ()
    hosts: tuple[HostReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is in force for one worker, and which rules set it.

    Attributes:
        other: of names that are not registered yet.
        events: by name, in the order of their ids.
        note: why something else may be in force; empty: nothing is.
    """

    node: str
    worker: Worker
    ring_id: bytes
    enabled: Verdict
    other: Verdict
    events: Mapping[str, Verdict]
    note: str = ""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One ring as the hub or its collector knows it."""

    node: str
    worker: Worker
    ring_id: bytes
    last_seq: int
    totals: Mapping[int, int]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class RingSum:
    """Many rings as one."""

    rings: int = 0
    committed: int = 0
    totals: Mapping[int, int] = field(default_factory=dict)
    counters: WorkerCounters = field(default_factory=WorkerCounters)


@dataclass(frozen=True, slots=True)
class HostLedger:
    """A host as the hub's ledger knows it."""

    host_id: str
    node: str
    namespace: str = ""
    connected: bool = False
    as_of_ns: int = 0
    counters: HostCounters = field(default_factory=HostCounters)
    folded: RingSum = field(default_factory=RingSum)


@dataclass(frozen=True, slots=True)
class RingLedger:
    """A ring as the hub's ledger knows it."""

    host_id: str
    worker: Worker
    ring_id: bytes
    last_seq: int
    totals: Mapping[int, int]
    sent_seq: int = 0
    spooled_seq: int = 0
    counters: WorkerCounters = field(default_factory=WorkerCounters)
    closed_reason: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """A part of the hub's ledger."""

    hosts: tuple[HostLedger, ...] = ()
    rings: tuple[RingLedger, ...] = ()


def method_path(method: str) -> str:
    """Return the path under which a method is called."""
    return f"/{SERVICE}/{method}"
