"""What one catalog has more, less or otherwise than another, as lines. Pure.

`+` is more, `-` less, `~` otherwise. A key with another unit is one less and one
more, because whoever reads it has to change.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from shmtel.catalog import FIELDS, Catalog
from shmtel.catalog_entries import EventEntry


def keys_of(entry: EventEntry) -> list[str]:
    """Return the keys of an event as words, measurements with their unit."""
    return [f"{key} ({unit})" for key, unit in entry.measurements.items()] + [
        *entry.metadata
    ]


def differences(before: Catalog, after: Catalog) -> Iterator[str]:
    """Compare two catalogs."""
    for name, entry in after.events.items():
        if name not in before.events:
            yield f"+ {name}: {', '.join(keys_of(entry)) or 'no keys'}"
    for name in before.events:
        if name not in after.events:
            yield f"- {name}"
    for name, entry in after.events.items():
        if name in before.events and (words := _changes(before.events[name], entry)):
            yield f"~ {name}: {', '.join(words)}"
    yield from _lists("mode ", _modes(before), _modes(after))
    old, new = asdict(before.limits), asdict(after.limits)
    for key in new:
        if old[key] != new[key]:
            yield f"~ limit {key}: {old[key]} -> {new[key]}"


def _changes(before: EventEntry, after: EventEntry) -> list[str]:
    words = list(_lists("", keys_of(before), keys_of(after)))
    for field in FIELDS:
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            words.append(f"{field} {old!r} -> {new!r}")
    return words


def _lists(title: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    yield from (f"+ {title}{word}" for word in new if word not in old)
    yield from (f"- {title}{word}" for word in old if word not in new)


def _modes(catalog: Catalog) -> Iterator[str]:
    return (f"{rule.pattern}: {rule.mode}" for rule in catalog.modes)
