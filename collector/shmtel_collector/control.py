"""Writes the control zone of one ring: words, switches, signs of life.

Words are written only where they differ from what was last written; the first
policy after an attach writes all of them, since an earlier collector may have
left others. A retired ring stays retired whatever a policy says.
"""

from shmtel import _ring
from shmtel_collector.policy import Words
from shmtel_collector.source import Source


class ControlZone:
    """The one writer of a ring's control zone, beside settlement."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._written: Words | None = None
        self.is_retired = source.is_retired()

    def apply(self, words: Words) -> None:
        """Bring the zone to what a policy says."""
        written, self._written = self._written, words
        if written is None or written.enabled != words.enabled:
            self._enable(words.enabled)
        if written is None or written.default != words.default:
            self._source.write(lambda ring: ring.set_default_word(words.default))
        known = written.by_event_id if written is not None else ()
        for event_id, word in enumerate(words.by_event_id):
            if event_id >= len(known) or known[event_id] != word:
                self._set_word(event_id, word)

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

    def _set_word(self, event_id: int, word: int) -> None:
        self._source.write(lambda ring: ring.set_word(event_id, word))
