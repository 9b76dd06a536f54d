"""How a series is kept in the hub's table, in the transaction of its events.

Rules:
- what is read again is judged: a row says of which definition it is, and numbers that
  do not fit that definition are not taken.
"""

from dataclasses import dataclass
from hashlib import blake2b

from shmtel.hub.measures.instrument import Instrument, Labels
from shmtel.hub.measures.tally import Number, Tally

PREFIX = "series:"
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series as it is kept."""

    fingerprint: str  # of its definition
    labels: Labels | None  # None: what series had counted that are gone
    count: Number
    total: Number = 0
    buckets: tuple[Number, ...] = ()
    last: Number | None = None
    rings: tuple[str, ...] = ()
    updated_s: int = 0


def row_key(fingerprint: str, labels: Labels | None) -> str:
    """Return the key of a row."""
    digest = blake2b(repr(labels).encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{PREFIX}{fingerprint}:{digest}"


def row_of(
    instrument: Instrument, labels: Labels | None, tally: Tally, updated_s: int
) -> SeriesRow:
    """Return the row of a series."""
    return SeriesRow(
        instrument.fingerprint,
        labels,
        tally.count,
        tally.total,
        tuple(tally.buckets),
        tally.last,
        tuple(sorted(tally.rings)),
        updated_s,
    )


def tally_of(instrument: Instrument, row: SeriesRow) -> Tally | None:
    """Return what a row holds; None: it is none of this definition."""
    has_buckets = len(row.buckets) in (0, len(instrument.bounds) + 1)
    has_labels = row.labels is None or len(row.labels) == len(instrument.metric.tags)
    if not has_buckets or not has_labels or (row.buckets and not instrument.bounds):
        return None
    return Tally(
        *(row.count, row.total, list(row.buckets), row.last), rings=set(row.rings)
    )
