"""Both laws as metrics: a family for each word, so that sums can be written down.

    emitted - committed - dropped - sampled_out - filtered - disabled == 0

Counts are counters, and what is on its way is a gauge.
"""

from collections.abc import Iterator

from shmtel.accounting.accounts import Account
from shmtel.endpoints.exposition import Family, Samples

_COUNTERS = {
    "emitted": "Calls of workers that returned.",
    "committed": "Events that workers wrote into their rings.",
    "dropped": "Events refused before commit, by reason.",
    "sampled_out": "Events left out in workers by a sampling decision.",
    "filtered": "Events left out in workers by a name pattern.",
    "disabled": "Events left out in workers by a toggle.",
    "delivered": "Events that the hub has acknowledged.",
    "rejected": "Committed events refused when they were read, by reason.",
    "sampled_out_by_collector": "Committed events left out by a sampling decision.",
    "filtered_by_collector": "Committed events left out by a name pattern.",
    "disabled_by_collector": "Committed events left out by a toggle.",
    "lost": "Committed events that were never delivered, by reason.",
}
_GAUGES = {
    "spooled": "Events that have left their ring for the spool.",
    "in_flight": "Events that were sent and are not acknowledged.",
    "in_ring": "Committed events that were not sent.",
}
_UNACCOUNTED = "Committed events that are nowhere; 0 is the promise."


def families(prefix: str, *labels: str, dropped: tuple[str, ...]) -> Iterator[Family]:
    """Return the families of the laws.

    Args:
        dropped: the labels of what was dropped, before its reason.
    """
    for word, text in _COUNTERS.items():
        own = dropped if word == "dropped" else labels
        by_reason = ("reason",) if isinstance(getattr(_EMPTY, word), dict) else ()
        yield Family(
            f"{prefix}_events_{word}_total", "counter", text, (*own, *by_reason)
        )
    for word, text in _GAUGES.items():
        yield Family(f"{prefix}_events_{word}", "gauge", text, labels)
    yield Family(f"{prefix}_ledger_unaccounted_events", "gauge", _UNACCOUNTED, labels)


def add_account(
    samples: Samples,
    prefix: str,
    account: Account,
    *labels: str,
    dropped: tuple[str, ...],
) -> None:
    """Add an account to the values of a scrape, with the labels of `families`."""
    for word in _COUNTERS:
        own = dropped if word == "dropped" else labels
        value = getattr(account, word)
        name = f"{prefix}_events_{word}_total"
        if isinstance(value, int):
            samples.add(name, value, *own)
        else:
            samples.add_counts(name, value, *own)
    for word in _GAUGES:
        samples.add(f"{prefix}_events_{word}", getattr(account, word), *labels)
    name = f"{prefix}_ledger_unaccounted_events"
    samples.add(name, account.unaccounted, *labels)


_EMPTY = Account()
