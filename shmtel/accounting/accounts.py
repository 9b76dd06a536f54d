"""The two laws of accounting as plain data.

    emitted   = committed + dropped + sampled_out + filtered + disabled
    committed = delivered + rejected + sampled_out_by_collector
                + filtered_by_collector + disabled_by_collector + lost
                + spooled + in_flight + in_ring

The first is what a worker says of its calls. The second follows each committed
event to where it is now; what it cannot place is `unaccounted`: 0 unless
something is wrong.

By event, what is delivered cannot be told from what is still under way: a
segment says only what is not in it. Both are `forwarded` there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shmtel import _ring
from shmtel.accounting.counts import EventCounts, add_counts


@dataclass(frozen=True, slots=True)
class Account:
    """Where the events of one or more rings are."""

    committed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    sampled_out: int = 0
    filtered: int = 0
    disabled: int = 0
    delivered: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    sampled_out_by_collector: int = 0
    filtered_by_collector: int = 0
    disabled_by_collector: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    spooled: int = 0
    in_flight: int = 0
    in_ring: int = 0

    @property
    def emitted(self) -> int:
        """Return the calls that have returned."""
        refused = sum(self.dropped.values())
        left_out = self.sampled_out + self.filtered + self.disabled
        return self.committed + refused + left_out

    @property
    def unaccounted(self) -> int:
        """Return the committed events that are nowhere; 0 is the promise."""
        settled = self.delivered + sum(self.rejected.values()) + sum(self.lost.values())
        left_out = self.sampled_out_by_collector + self.filtered_by_collector
        left_out += self.disabled_by_collector
        on_the_way = self.spooled + self.in_flight + self.in_ring
        return self.committed - settled - left_out - on_the_way

    def plus(self, other: "Account") -> "Account":
        """Return the sum of both."""
        ours, theirs = asdict(self), asdict(other)
        return Account(**{name: _add(ours[name], theirs[name]) for name in ours})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, in the order of the laws."""
        return {
            "emitted": self.emitted,
            **asdict(self),
            "unaccounted": self.unaccounted,
        }


@dataclass(frozen=True, slots=True)
class EventAccount:
    """What became of the events of one name, or of those that have none.

    Attributes:
        disabled: never known by name.
        forwarded: committed, and not left out: delivered, spooled, in flight, or
            in the ring.
    """

    committed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    sampled_out: int = 0
    filtered: int = 0
    disabled: int = 0
    forwarded: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    sampled_out_by_collector: int = 0
    filtered_by_collector: int = 0
    disabled_by_collector: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def emitted(self) -> int:
        """Return the calls that have returned."""
        refused = sum(self.dropped.values())
        left_out = self.sampled_out + self.filtered + self.disabled
        return self.committed + refused + left_out

    def plus(self, other: "EventAccount") -> "EventAccount":
        """Return the sum of both."""
        ours, theirs = asdict(self), asdict(other)
        return EventAccount(**{name: _add(ours[name], theirs[name]) for name in ours})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, in the order of the laws."""
        return {"emitted": self.emitted, **asdict(self)}


def account_of_event(counts: EventCounts) -> EventAccount:
    """Return the account of one event name."""
    words = _words(counts.left_out)
    left_out = sum(counts.left_out.values())
    return EventAccount(
        committed=counts.committed,
        dropped=counts.dropped,
        sampled_out=counts.sampled_out,
        filtered=counts.filtered,
        forwarded=max(counts.committed - left_out, 0),
        **words,
    )


def remainder(account: Account, events: Iterable[EventAccount]) -> EventAccount:
    """Return what of an account no event name is known for.

    The counters by event of a ring that is being written to are read a moment
    after its totals; what they lead by is no negative remainder.
    """
    known = EventAccount()
    for event in events:
        known = known.plus(event)
    whole, part = asdict(account), asdict(known)
    whole["forwarded"] = (
        account.delivered + account.spooled + account.in_flight + account.in_ring
    )
    return EventAccount(**{name: _minus(whole[name], part[name]) for name in part})


def sum_of(accounts: Iterable[Account]) -> Account:
    """Return the sum of accounts."""
    result = Account()
    for account in accounts:
        result = result.plus(account)
    return result


def account_of_totals(totals: Mapping[int, int], **counts: Any) -> Account:
    """Return an account with the events of `totals` under their words."""
    return Account(**_words(totals), **counts)


def _words(totals: Mapping[int, int]) -> dict[str, Any]:
    words: dict[str, Any] = {"rejected": {}, "lost": {}}
    for outcome, events in totals.items():
        word, reason = _ring.OUTCOMES.get(outcome, ("lost", "unknown_outcome"))
        if word in ("rejected", "lost"):
            words[word][reason] = words[word].get(reason, 0) + events
        else:
            words[word] = words.get(word, 0) + events
    return words


def _add(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, int):
        return ours + theirs
    return add_counts(ours, theirs)


def _minus(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, int):
        return max(ours - theirs, 0)
    counts = {key: _minus(count, theirs.get(key, 0)) for key, count in ours.items()}
    return {key: count for key, count in counts.items() if count}
