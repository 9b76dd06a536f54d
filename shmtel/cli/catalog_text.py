"""What `shmtel catalog show` prints: one event, many, or all of it as JSON. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from shmtel.catalog import Catalog
from shmtel.catalog_entries import LAYERS, EventEntry
from shmtel.cli.common import format_table, plain

SCHEMA = "shmtel/catalog/v1"
_HEADER = ("EVENT", "KIND", "EMITTED BY", "SUMMARY")


def event_lines(catalog: Catalog, entry: EventEntry) -> Iterator[str]:
    """Tell all that is known of an event."""
    facts = [
        ("layer", entry.layer),
        ("kind", entry.kind),
        ("emitted by", ", ".join(entry.emitters)),
        ("how", entry.how),
        ("mode", str(catalog.mode_of(entry.name))),
        ("measurements", _units(entry)),
        ("metadata", ", ".join(entry.metadata)),
        ("from the hub", ", ".join(catalog.stamped)),
    ]
    yield plain(entry.name)
    if entry.summary:
        yield plain(entry.summary)
    yield ""
    yield from (plain(f"{title:<12}  {text or '-'}") for title, text in facts)


def table_lines(entries: Iterable[EventEntry]) -> Iterator[str]:
    """Put a line per event below its layer."""
    ordered = sorted(entries, key=lambda entry: LAYERS.index(entry.layer))
    rows = [(e.name, e.kind, ", ".join(e.emitters), e.summary or "-") for e in ordered]
    header, *lines = format_table(_HEADER, rows, texts=len(_HEADER))
    yield header
    by_layer = groupby(zip(ordered, lines, strict=True), lambda pair: pair[0].layer)
    for layer, pairs in by_layer:
        yield f"-- {layer}"
        yield from (line for _, line in pairs)


def document(catalog: Catalog, entries: Iterable[EventEntry]) -> dict[str, Any]:
    """Return events, and what is around them, as plain data."""
    return {
        "schema": SCHEMA,
        "reserved": catalog.reserved,
        "stamped": catalog.stamped,
        "limits": asdict(catalog.limits),
        "modes": [asdict(rule) for rule in catalog.modes],
        "events": [
            {**asdict(entry), "mode": catalog.mode_of(entry.name)} for entry in entries
        ],
    }


def _units(entry: EventEntry) -> str:
    return ", ".join(f"{key} ({unit})" for key, unit in entry.measurements.items())
