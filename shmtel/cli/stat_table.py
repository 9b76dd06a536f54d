"""What `shmtel stat` shows, from two looks at the rings. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from shmtel.cli.common import format_reasons, format_table, plain
from shmtel.cli.observing import RingStat

GONE = "gone"
_HEADER = (
    *("WORKER", "PID", "STATE", "COMMITTED", "DROPPED", "SAMPLED_OUT", "FILTERED"),
    *("DISABLED", "FILL", "HIGH WATER"),
)
_RATES_HEADER = ("COMMITTED/S", "DROPPED/S", "KIB/S")


@dataclass(frozen=True, slots=True)
class Look:
    """The rings at one moment, by their ids."""

    monotonic_s: float
    rings: Mapping[str, RingStat]


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened per second, between two looks."""

    committed: float
    dropped: float
    committed_bytes: float


@dataclass(frozen=True, slots=True)
class Row:
    """One ring, and its rates if it was there before."""

    ring: RingStat
    rates: Rates | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        rates = None if self.rates is None else asdict(self.rates)
        return asdict(self.ring) | {"per_second": rates}


def rows_of(before: Look | None, now: Look) -> list[Row]:
    """Return a row per ring; one that has gone since is there once more."""
    last = before.rings if before is not None else {}
    elapsed_s = now.monotonic_s - before.monotonic_s if before is not None else 0.0
    rows = [
        Row(ring, _rates(last[ring_id], ring, elapsed_s) if ring_id in last else None)
        for ring_id, ring in now.rings.items()
    ]
    rows += [
        Row(replace(ring, state=GONE), None)
        for ring_id, ring in last.items()
        if ring_id not in now.rings
    ]
    return sorted(rows, key=lambda row: (row.ring.worker_id, row.ring.pid))


def table(rows: Sequence[Row]) -> list[str]:
    """Put a line per ring and one for all, then the reasons of drops."""
    has_rates = any(row.rates is not None for row in rows)
    header = (*_HEADER, *(_RATES_HEADER if has_rates else ()))
    cells = [_cells(row, has_rates) for row in rows]
    if len(rows) > 1:
        cells.append(_sums(rows, has_rates))
    lines = format_table(header, cells)
    for row in rows:
        if sum(row.ring.dropped.values()):
            reasons = format_reasons(row.ring.dropped)
            lines.append(plain(f"dropped by {row.ring.worker_id}: {reasons}"))
    return lines


def _rates(before: RingStat, now: RingStat, elapsed_s: float) -> Rates | None:
    """Return what happened in between; a hostile worker's counters may go back."""
    if elapsed_s <= 0:
        return None
    drops = sum(now.dropped.values()) - sum(before.dropped.values())
    return Rates(
        max(now.committed - before.committed, 0) / elapsed_s,
        max(drops, 0) / elapsed_s,
        max(now.committed_bytes - before.committed_bytes, 0) / elapsed_s,
    )


def _cells(row: Row, has_rates: bool) -> tuple[object, ...]:
    ring = row.ring
    return (
        *(ring.worker_id, ring.pid, ring.state, *_counts(ring), f"{ring.fill:.0%}"),
        f"{ring.high_water_bytes / ring.capacity_bytes:.0%}",
        *(_shown(row.rates) if has_rates else ()),
    )


def _sums(rows: Sequence[Row], has_rates: bool) -> tuple[object, ...]:
    counts = [
        sum(column) for column in zip(*(_counts(row.ring) for row in rows), strict=True)
    ]
    rates = [row.rates for row in rows if row.rates is not None]
    total = Rates(
        sum(rate.committed for rate in rates),
        sum(rate.dropped for rate in rates),
        sum(rate.committed_bytes for rate in rates),
    )
    return ("all", "", "", *counts, "", "", *(_shown(total) if has_rates else ()))


def _counts(ring: RingStat) -> tuple[int, ...]:
    dropped = sum(ring.dropped.values())
    return (ring.committed, dropped, ring.sampled_out, ring.filtered, ring.disabled)


def _shown(rates: Rates | None) -> tuple[str, ...]:
    if rates is None:
        return ("-",) * len(_RATES_HEADER)
    kibibytes = rates.committed_bytes / 1024
    return (f"{rates.committed:.0f}", f"{rates.dropped:.0f}", f"{kibibytes:.1f}")
