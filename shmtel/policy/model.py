"""Policies as plain data.

The fields are those of the messages in protos/shmtel/v1/uplink.proto; what they
mean stands there. Times are CLOCK_REALTIME in ns.
"""

from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True)
class Toggle:
    """Telemetry of a worker on or off."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class Sampling:
    """The share of events to keep; without patterns of all events."""

    rate: float
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """Globs over event names that are let through, or not."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


Action = Toggle | Sampling | Filter


@dataclass(frozen=True, slots=True)
class Selector:
    """Globs that a worker has to match, all of them."""

    worker: str = ANY
    pool: str = ANY
    service: str = ANY
    node: str = ANY


@dataclass(frozen=True, slots=True)
class Traits:
    """What selectors look at."""

    worker: str = ""
    pool: str = ""
    service: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """An action on the workers that a selector picks.

    Attributes:
        action: None when the peer sent one that this version does not know.
        expires_ns: when the rule ceases to count; 0: never.
    """

    selector: Selector
    action: Action | None
    expires_ns: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole desired state; it replaces whatever was in force.

    Attributes:
        version: counts the changes of one origin; 0: there is no policy.
        origin: names the store that counts the versions.
        sent_ns: the sender's clock when it was sent; 0: expiries are by our own.
    """

    version: int = 0
    rules: tuple[Rule, ...] = ()
    origin: str = ""
    sent_ns: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What two policies have in common only if they are the same."""
        return self.origin, self.version


@dataclass(frozen=True, slots=True)
class Layer:
    """Rules of one source: the fleet's policy, a local overlay, or guard rails.

    Attributes:
        is_guard: the rules only restrict, and nothing overrules them.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    is_guard: bool = False


FLEET = "fleet"  # name of the layer that comes from the hub
KEPT_ERRORS = ("*.exception",)  # a rate of 1 for these keeps all errors
GUARD = "guard"  # name of the layer of the collector's configuration


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a policy was refused.

    Attributes:
        rule: its number in the list, from 1; 0: the policy as a whole.
    """

    rule: int
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """Whether one worker's words say what the policy says.

    Attributes:
        failure: why they do not; empty: they do.
    """

    ring_id: bytes
    traits: Traits
    failure: str = ""


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """A collector's answer to a policy, and what it adds of its own.

    Attributes:
        origin: of the policy that this answers, as its version.
        rejection: None: it is in force.
        in_force_origin: of the policy in force, as its version; 0: none is.
        workers: of the host when it was applied.
        unlisted: workers that had no room in the list.
        duration_ns: from its arrival until the last word was stored.
        local_layers: overlays and guard rails, in order.
    """

    origin: str = ""
    version: int = 0
    rejection: Rejection | None = None
    in_force_origin: str = ""
    in_force_version: int = 0
    workers: tuple[WorkerResult, ...] = ()
    unlisted: int = 0
    duration_ns: int = 0
    local_layers: tuple[Layer, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """The key of the policy that this answers."""
        return self.origin, self.version
