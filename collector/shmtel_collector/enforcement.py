"""Brings rings to the rules in force: at attach, on a change, for new names.

What the catalog says of new names comes first: see validation.py.

All rings share one judge, so that workers which the same rules select share
their ruling, and every event name is judged once.

A change goes in three steps: the words of every ring are worked out; the
thresholds among them that a ring has not been told yet are written down, in one
transaction; the words are stored. A disk that fails does not keep a policy from
acting: its thresholds are known as long as this process lives, and are written
down with the next change.

Rules: no policy acts on the collector's own rings: it could switch off the
record of itself.
"""

from collections.abc import Iterable
from itertools import islice

from shmtel import _ring
from shmtel.policy.model import GUARD, Traits, WorkerResult
from shmtel.policy.verdicts import Judge, Verdict
from shmtel_collector.logs import ConditionLog
from shmtel_collector.policy import Verdicts, Words, words_of
from shmtel_collector.policy_store import PolicyStore, PolicyStoreError
from shmtel_collector.ring import Ring
from shmtel_collector.validation import Validation

THRESHOLDS_MAX = 16_384  # of one ring, as the core has it
_CONDITION = "thresholds"


class Enforcement:
    """Knows the rules of the moment, and writes them into rings."""

    def __init__(
        self, store: PolicyStore, node: str, log: ConditionLog, validation: Validation
    ) -> None:
        self.judge = Judge((), 0)
        self._validation = validation
        self._store = store
        self._node = node
        self._log = log
        self._owed: dict[bytes, set[int]] = {}  # thresholds that the disk refused

    def attach(self, ring: Ring) -> None:
        """Bring a new ring to the rules, before anything is drained from it."""
        try:
            ring.source.allow(self._store.thresholds(ring.ring_id))
        except PolicyStoreError as error:
            self._warn(error)
        if not ring.read_names():
            self.renew(ring)

    def renew(self, ring: Ring) -> None:
        """Bring a ring to the catalog and the rules whose names have grown."""
        self._validation.renew(ring)
        self.apply([ring])

    def apply(self, rings: Iterable[Ring]) -> None:
        """Bring rings to the rules, their new names included."""
        plans = [
            (ring, words_of(self.verdicts_of(ring)))
            for ring in rings
            if not ring.is_own
        ]
        self._note(plans)
        for ring, words in plans:
            ring.control.apply(words)

    def verdicts_of(self, ring: Ring) -> Verdicts:
        """Return what the rules say to the worker of a ring."""
        traits = self.traits_of(ring)
        ruling = self.judge.of_worker(traits)
        events = {name: ruling.of_event(name) for name in ring.names}
        if any(map(_is_limit, events.values())):
            self._spare(ring, traits, events)
        # What a worker has set for a name that is new nobody knows yet, so no limit
        # speaks for it: it could be looser, and what is drained meets it anyway.
        other = self.judge.of_worker(traits, _ring.WORD_DENIED).default
        enforced = tuple([ruling.enforced(name) for name in ring.names])
        return Verdicts(ruling.enabled, other, events, enforced)

    def _spare(self, ring: Ring, traits: Traits, events: dict[str, Verdict]) -> None:
        """Leave alone what the worker itself has set harder than a limit."""
        own_words = ring.source.initial_words()
        for name, own_word in zip(ring.names, own_words, strict=False):
            if _is_limit(events[name]):
                ruling = self.judge.of_worker(traits, own_word)
                events[name] = ruling.of_event(name)

    def traits_of(self, ring: Ring) -> Traits:
        """Return what selectors look at."""
        worker = ring.worker
        return Traits(worker.worker_id, worker.pool_name, worker.service, self._node)

    def result_of(self, ring: Ring) -> WorkerResult:
        """Say whether the words of a ring are what the rules say."""
        damage = ring.source.damage
        failure = f"its ring is quarantined: {damage}" if damage is not None else ""
        return WorkerResult(ring.ring_id, self.traits_of(ring), failure)

    def forget(self, ring: Ring) -> None:
        """Forget a ring that is gone."""
        self._owed.pop(ring.ring_id, None)

    def _note(self, plans: list[tuple[Ring, Words]]) -> None:
        added: dict[bytes, set[int]] = {}
        for ring, words in plans:
            new = words.thresholds() - ring.source.thresholds.keys()
            if new:
                added[ring.ring_id] = new
                ring.source.allow(sorted(new))
                self._forget_oldest(ring)
        if added:
            self._write_down(added)

    def _write_down(self, added: dict[bytes, set[int]]) -> None:
        for ring_id, words in added.items():
            self._owed.setdefault(ring_id, set()).update(words)
        try:
            self._store.note_thresholds(self._owed)
        except PolicyStoreError as error:
            self._warn(error)
        else:
            self._owed.clear()
            self._log.cleared(_CONDITION)

    def _forget_oldest(self, ring: Ring) -> None:
        known = ring.source.thresholds
        if len(known) <= THRESHOLDS_MAX:
            return
        oldest = list(islice(known, len(known) - THRESHOLDS_MAX * 3 // 4))
        for threshold in oldest:
            del known[threshold]
        self._owed.get(ring.ring_id, set()).difference_update(oldest)
        try:
            self._store.forget_thresholds(ring.ring_id, oldest)
        except PolicyStoreError as error:
            self._warn(error)

    def _warn(self, error: PolicyStoreError) -> None:
        self._log.warning(
            _CONDITION,
            "sampling thresholds are not kept, and after a restart events that were "
            "sampled until now would be rejected: %s",
            error,
        )


def _is_limit(verdict: Verdict) -> bool:
    """Say whether a rate comes from the guard rails."""
    return verdict.layer == GUARD and verdict.word != _ring.WORD_DENIED
