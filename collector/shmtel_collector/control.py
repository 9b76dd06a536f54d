"""Writes the control zone of one ring: words, switches, signs of life.

Words are written only where they differ from what was last written; the first
policy after an attach writes all of them, since an earlier collector may have
left others. In the same step the consumer is told to judge by them what it
drains, so that worker and collector never follow two policies for longer than
an emit takes. A retired ring stays retired whatever a policy says.
"""

from shmtel import _ring
from shmtel_collector.policy import Words
from shmtel_collector.ring_source import RingSource


class ControlZone:
    """The one writer of a ring's control zone, beside settlement."""

    def __init__(self, source: RingSource) -> None:
        self._source = source
        self._written: Words | None = None
        self.is_retired = source.is_retired()

    def apply(self, words: Words) -> None:
        """Bring zone and consumer to what a policy says."""
        written, self._written = self._written, words
        if written == words:
            return
        if written is None or written.enabled != words.enabled:
            self._enable(words.enabled)
        if written is None or written.default != words.default:
            self._source.write(lambda ring: ring.set_default_word(words.default))
        self._set_words(words.by_event_id, written.by_event_id if written else ())
        is_on = words.enabled != _ring.RING_OFF
        self._source.judge_by(is_on, words.enforced, words.kinds)

    def retire(self) -> None:
        """Ask the worker, if there is one, to make a new ring."""
        self.is_retired = True
        self._source.write(lambda ring: ring.set_enabled(_ring.RING_RETIRED))

    def set_final_tail(self, position: int) -> None:
        """Say where a retired ring ends."""
        self._source.write(lambda ring: ring.set_final_tail(position))

    def set_sent_seq(self, seq: int) -> None:
        """Leave the hint of what was handed to the stream."""
        self._source.write(lambda ring: ring.set_sent_seq(seq))

    def beat(self, epoch: int, realtime_ns: int) -> None:
        """Show that a collector serves this ring."""
        self._source.write(lambda ring: ring.set_heartbeat(epoch, realtime_ns))

    def _enable(self, state: int) -> None:
        if not self.is_retired:
            self._source.write(lambda ring: ring.set_enabled(state))

    def _set_words(self, words: tuple[int, ...], written: tuple[int, ...]) -> None:
        changed = [
            (event_id, word)
            for event_id, word in enumerate(words)
            if event_id >= len(written) or written[event_id] != word
        ]

        def store(ring: "_ring.Consumer") -> None:
            for event_id, word in changed:
                ring.set_word(event_id, word)

        if changed:
            self._source.write(store)
