"""Types of the C core. The layout of a ring is in csrc/ring_layout.h."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import (
    Any,
    Final,
    TypedDict,
    TypeVar,
    final,
    overload,
    type_check_only,
)

from shmtel import identities

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

# -- worker side (py_producer.c, py_span.c) ---------------------------------

correlation_id_variable: Final[ContextVar[str | None]]
current_span_variable: Final[ContextVar[Span | None]]

def set_variable(variable: ContextVar[_T], value: _T, /) -> Token[_T]: ...
def reset_variable(variable: ContextVar[_T], token: Token[_T], /) -> None: ...
def emit(
    event: str,
    measurements: Mapping[str, float],
    metadata: Mapping[str, object] | None = None,
    correlation_id: str | None = None,
) -> None: ...
def span(
    operation: str,
    metadata: Mapping[str, object] | None = None,
    correlation_id: str | None = None,
) -> Span: ...

@final
class Span:
    @property
    def operation(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, object] | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def span_id(self) -> str: ...
    @property
    def parent_id(self) -> str: ...
    def set(self, key: str, value: object) -> None: ...
    def __enter__(self) -> Span: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __call__(self, function: _F, /) -> _F: ...

@type_check_only
class BackendStats(TypedDict):
    """Counts of this process's events that went to another backend than the ring."""

    delivered: int
    failed: int
    dropped: dict[str, int]

@type_check_only
class WorkerStats(TypedDict):
    """Counts of this process since its ring was made, unless they say otherwise."""

    enabled: bool
    identity: identities.Identity | None
    ring_id: str | None
    emitted: int
    committed: int
    sampled_out: int
    filtered: int
    disabled: int
    dropped: dict[str, int]
    dropped_by_process: int  # also in the rings that it had before
    first_drop_ns: int | None
    last_drop_ns: int | None
    committed_bytes: int
    capacity_bytes: int
    used_bytes: int
    high_water_bytes: int
    names: int
    other_backend: BackendStats

def anchor(span_id: int, is_sampled: bool) -> Span: ...
def current_parent() -> tuple[str, bool] | None: ...
def current_span() -> Span | None: ...
def resume(span: Span, /) -> None: ...
def suspend(span: Span, /) -> None: ...
@overload
def get_correlation_id() -> str | None: ...
@overload
def get_correlation_id(default: str) -> str: ...
@overload
def get_correlation_id(default: None) -> str | None: ...
def divert(deliver: Callable[[str, bytes], bool] | None, /) -> None: ...
def emit_to_ring(
    event: str,
    measurements: Mapping[str, float],
    metadata: Mapping[str, object] | None = None,
    correlation_id: str | None = None,
) -> None: ...
def note_collection(phase: str, info: dict[str, int], /) -> None: ...
def enable() -> None: ...
def disable() -> None: ...
def is_enabled() -> bool: ...
def is_switched_on() -> bool: ...
def stats() -> WorkerStats: ...
def install(
    *,
    open_ring: Callable[[], bool | Exception],
    make_plain: Callable[
        [object, object, object, object], tuple[Any, ...] | Exception | None
    ],
    decorate: Callable[[Span, Any], Any],
    describe_error: Callable[[object, BaseException], object],
    initial_word: Callable[[str], int] | None = None,
) -> None: ...
def adopt(
    fd: int,
    *,
    capacity: int,
    resource: bytes,
    ring_id: bytes,
    boot_id: bytes,
    pid_namespace: int,
    start_time: int,
    pid: int,
    initial_threshold: int = 0,
    overflow: int = ...,
) -> bool: ...
def close() -> None: ...
def identity() -> object: ...
def remember(identity: object, /) -> None: ...
def own_descriptor() -> int | None: ...
def own_rings() -> list[bytes]: ...

# -- consumer and observers (py_consumer.c) ---------------------------------

class RingError(Exception):
    """A ring was refused. `reason` is the lower-case name of the status."""

    reason: str

class RingLocked(RingError):
    """Another collector consumes this ring."""

@type_check_only
class Identity(TypedDict):
    """The identity zone, judged. `resource` is its msgpack, not yet decoded."""

    ring_id: bytes
    boot_id: bytes
    pid_namespace: int
    start_time: int
    pid: int
    uid: int
    realtime_ns: int
    monotonic_ns: int
    capacity: int
    page_size: int
    initial_threshold: int
    overflow: int
    resource: bytes

@type_check_only
class Counters(TypedDict):
    """Claims of the worker: the cached counters of the producer zone."""

    committed: int
    bytes: int
    sampled_out: int
    filtered: int
    disabled: int
    dropped: dict[str, int]
    first_drop_ns: int
    last_drop_ns: int
    high_water: int
    closed: bool

@type_check_only
class Control(TypedDict):
    """The control zone, as an observer sees it."""

    head: int
    head_seq: int
    settled_seq: int
    totals: list[int]
    sent_seq: int
    enabled: int
    default_word: int
    collector_epoch: int
    collector_heartbeat_ns: int

@type_check_only
class EventCounters(TypedDict):
    """One entry of the names zone; `initial_word` is the worker's own."""

    name: str
    word: int
    initial_word: int
    committed: int
    sampled_out: int
    filtered: int
    dropped: dict[str, int]

@type_check_only
class Observation(TypedDict):
    """A whole ring without its records, read with pread and no lock."""

    identity: Identity
    counters: Counters
    control: Control
    events: list[EventCounters]
    tail: int
    oldest: int  # the first record that is there and not released
    overwritten: int  # seqs up to here were overwritten, read or unread

@final
class Taken:
    """What one bounded pass of a Follower copied, judged.

    count + rejected == seq_last - seq_before; what was missed lies in front.
    """

    @property
    def events(self) -> bytes: ...  # one msgpack array32 of the events' arrays
    @property
    def count(self) -> int: ...
    @property
    def rejected(self) -> int: ...  # malformed, of an unknown name, of a bad draw
    @property
    def seq_before(self) -> int: ...
    @property
    def seq_last(self) -> int: ...
    @property
    def missed(self) -> int: ...

@final
class Follower:
    """An observer that reads the records of a ring as they come.

    Takes no lock, maps and writes nothing, and never closes `fd`, which has to
    stay open. Starts at the oldest record that is not released, or behind the
    newest. Beside a collector it may be overtaken: then it goes on at the oldest
    record that is not released, and counts what it has missed. Raises RingError
    when the ring turns out to be damaged.
    """

    def __init__(self, fd: int, *, at_end: bool = False) -> None: ...
    @property
    def identity(self) -> Identity: ...
    def take(self, budget_bytes: int) -> Taken | None: ...  # 120 KiB at most
    def names(self, first_event_id: int) -> list[str]: ...

def observe(fd: int) -> Observation: ...
def is_in_memory(fd: int, /) -> bool: ...  # on a tmpfs or its like
def lock_holder(fd: int) -> int | None:
    """Say who holds the producer's lock: a pid (0: not visible), None if free."""

@final
class Drained:
    """What one bounded pass took from a ring, judged.

    delivered + the events of `counts` == seq_last - seq_before. Nothing may have
    been taken when it `wants_names`: it stopped at an event that set_judgement()
    has not covered.
    """

    @property
    def events(self) -> bytes: ...  # one msgpack array32 of the delivered arrays
    @property
    def delivered(self) -> int: ...
    @property
    def seq_before(self) -> int: ...
    @property
    def seq_last(self) -> int: ...
    @property
    def position(self) -> int: ...  # after the last record taken
    @property
    def counts(self) -> list[tuple[int, int, int]]: ...  # event id, outcome, events
    @property
    def stripped(self) -> list[tuple[int, str, int, int]]:
        """What delivered events were stripped of: event id, reason, events, keys.

        An event with keys of several reasons counts under each.
        """
    @property
    def wants_names(self) -> bool: ...

@final
class RecordDecoder:
    """Decodes events into instances of a class.

    Args:
        kind: can be made without arguments; what follows from its making is not done.
        fields: the names of its slots for the eight elements of an event's array.

    Raises:
        TypeError: these are no eight slots of the class.
    """

    def __new__(cls, kind: type, fields: tuple[str, ...], /) -> RecordDecoder: ...
    def decode(
        self, events: bytes, names: int, wanted: bytes | None = None, /
    ) -> list[Any]:
        """Return the records of an array32, whose event ids are below `names`.

        Args:
            wanted: by event id, 0: such events are passed over.

        Raises:
            ValueError: the bytes are something else, or more.
        """

@final
class Shape:
    """What the catalog says of one event name; never changes.

    A key that is not among `measurements` or `metadata` is a fault, unless the mode
    is MODE_PASS; so is a pair beyond a limit.

    Args:
        is_known: the catalog names the event; else all its keys are faults.
        depth: containers in one another, the metadata map included.
        keys: of one map.
        key_bytes: of a key.
        string_bytes: of a string or a binary value.

    Raises:
        ValueError: the mode is not known, or a limit is 0.
    """

    def __new__(
        cls,
        mode: int,
        measurements: Iterable[str],
        metadata: Iterable[str],
        *,
        is_known: bool,
        depth: int,
        keys: int,
        key_bytes: int,
        string_bytes: int,
    ) -> Shape: ...

@final
class Consumer:
    """The one consumer of a ring: holds the lock on byte 1 of `fd`.

    Owns `fd` from a successful construction on, unless told not to: then close()
    unlocks, and leaves it open. Whatever reads raises RingError
    when the ring turns out to be damaged, and does so for good; settle() and
    the set_ methods go on working, to end the ring in order. A damaged ring may
    be settled at the cursor with a seq past the cursor's.
    """

    def __init__(self, fd: int, *, owns_fd: bool = True) -> None: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def cursor(self) -> int: ...  # position of the next record to drain
    @property
    def cursor_seq(self) -> int: ...  # seq of the last record before it
    @property
    def head(self) -> int: ...
    @property
    def head_seq(self) -> int: ...  # released up to here: settled, or in a spool
    @property
    def settled_seq(self) -> int: ...
    @property
    def totals(self) -> list[int]: ...
    def tail(self) -> int: ...
    def drain(self, budget_bytes: int) -> Drained | None: ...  # 120 KiB at most
    def rewind(self) -> None: ...
    def skip_to(self, seq: int) -> bool: ...
    def settle(
        self,
        position: int,
        seq: int,
        totals: Sequence[int],
        settled_seq: int | None = None,  # the totals are final up to here; None: `seq`
    ) -> None: ...
    def names(self, first_event_id: int) -> list[str]: ...
    def counters(self) -> Counters: ...
    def set_enabled(self, state: int) -> None: ...
    def set_default_word(self, word: int) -> None: ...
    def set_word(self, event_id: int, word: int) -> None: ...
    def set_sent_seq(self, seq: int) -> None: ...
    def set_final_tail(self, position: int) -> None: ...
    def set_heartbeat(self, epoch: int, now_ns: int) -> None: ...
    def set_judgement(self, *, is_on: bool, words: Sequence[int], kinds: bytes) -> None:
        """Set what drain() judges by, once the worker has judged.

        Args:
            is_on: False: every event is disabled_by_collector.
            words: by event id; WORD_UNSET leaves the worker's decision alone.
            kinds: by event id, EVENT_PLAIN and its like.

        In front of the first event whose name is registered and whose id is not
        among them drain() stops, and says so by `wants_names`. Without a call
        nothing is judged.
        """
    def allow_thresholds(self, thresholds: Iterable[int]) -> None:
        """Add to the thresholds that were in force, which events may claim.

        Always among them are 0, the worker's initial one, and what set_word()
        and set_default_word() have set. Past 16,384 the oldest are forgotten.
        """
    def set_shapes(self, shapes: Sequence[Shape], otherwise: Shape) -> None:
        """Set what drain() holds events against.

        Args:
            shapes: by event id.
            otherwise: for all other ids.

        Without a call events are held against nothing.
        """
    @property
    def forgotten_spans(self) -> int: ...  # given up: too many were open
    def fileno(self) -> int: ...
    def close(self) -> None: ...

OUTCOMES: Final[dict[int, tuple[str, str]]]  # number -> (word, reason)
DROP_REASONS: Final[dict[str, str]]  # reason -> text
STATUSES: Final[dict[str, str]]  # reason of a RingError -> text
LAYOUT: Final[dict[str, int]]  # offsets and sizes, for the test of the contract
WORD_UNSET: Final[int]
WORD_KEEP_NONE: Final[int]
WORD_DENIED: Final[int]
THRESHOLD_MAX: Final[int]
RING_RECORD_MIN: Final[int]  # bytes of the smallest record
RING_DROP: Final[int]
RING_OVERWRITE: Final[int]
RING_OFF: Final[int]
RING_ON: Final[int]
RING_RETIRED: Final[int]
EVENT_PLAIN: Final[int]  # kinds of names, by the last segment
EVENT_START: Final[int]
EVENT_STOP: Final[int]
EVENT_EXCEPTION: Final[int]
MODE_PASS: Final[int]  # what becomes of keys that the catalog does not know
MODE_STRIP: Final[int]
MODE_REJECT: Final[int]
