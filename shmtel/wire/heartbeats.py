"""When to say that this side is alive, and when the other one no longer seems so.

The collector has the beat, and the hub answers: so that both processes, and all
threads of grpc, wake once in an interval and not twice. A hub that hears nothing
begins by itself.

Rules:
- before the interval is known nothing is said, and silence is borne a little longer.
"""

SILENT_INTERVALS = 3  # without any frame, before the peer counts as gone
_ANSWER_INTERVALS = 1.5  # that a hub waits for a heartbeat to answer
_FIRST_WAIT_NS = 5_000_000_000  # for a first frame; a busy peer may be slow to start


class Heartbeats:
    """The clock of one stream; time comes in as an argument.

    Args:
        answers: wait for those of the peer.
    """

    def __init__(self, now_ns: int, *, answers: bool = False) -> None:
        self._answers = answers
        self._interval_ns = 0  # not known yet
        self._due_ns = self._beat_ns = self._heard_ns = now_ns

    def start(self, interval_ms: int, now_ns: int) -> None:
        """Begin to say that this side is alive."""
        self._interval_ns = interval_ms * 1_000_000
        self._rest(now_ns)

    def heard(self, now_ns: int) -> None:
        """Note a sign of life of the peer."""
        self._heard_ns = now_ns

    def answer(self, now_ns: int) -> None:
        """Note a heartbeat of the peer: one of ours is due, unless one just was."""
        soonest_ns = self._beat_ns + self._interval_ns // 2
        self._due_ns = min(self._due_ns, max(now_ns, soonest_ns))

    def is_due(self, now_ns: int) -> bool:
        """Say whether a heartbeat is due; then the next one is in an interval."""
        if not self._interval_ns or now_ns < self._due_ns:
            return False
        self._rest(now_ns)
        return True

    def due_ns(self) -> int | None:
        """Return when the next heartbeat is due; None: there will be none."""
        return self._due_ns if self._interval_ns else None

    def silent_ns(self, now_ns: int) -> int:
        """Return for how long the peer is silent, if it is for too long; else 0."""
        return now_ns - self._heard_ns if now_ns >= self.patience_end_ns() else 0

    def patience_end_ns(self) -> int:
        """Return when the silence of the peer will have lasted for too long."""
        return self._heard_ns + (SILENT_INTERVALS * self._interval_ns or _FIRST_WAIT_NS)

    def _rest(self, now_ns: int) -> None:
        intervals = _ANSWER_INTERVALS if self._answers else 1
        self._beat_ns = now_ns
        self._due_ns = now_ns + int(intervals * self._interval_ns)
