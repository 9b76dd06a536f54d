"""Two ways to read keys from events: out of whole records, or decoding nothing else.

When nobody but metrics wants a segment, a decoder is made for the keys that they
name: measurements and metadata become small structures, and the rest of each event is
passed over. That takes two thirds of the time. A tag whose value is a list or a map
is nothing that such a structure holds; then, and only then, the whole is decoded
after all, and such a value makes an empty label.

Rules:
- both ways give the same groups, in another guise;
- values that Python takes for equal and that are told apart (1, 1.0 and True) are in
  groups of their own, whichever comes first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from shmtel.hub.measures.tally import Number
from shmtel.hub.records import Record, make_decoder

# Records that have event id, threshold and the keys of a reader in common.
Groups = Mapping[tuple[int, int, Any], Sequence[Record]]
_PLAIN = (str, int, float, bool, type(None))
_NUMBERS = (int, float)  # and so bool
_DECODERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Typed:
    """What records have in common, and of which kinds it is."""

    shared: Any
    kinds: tuple[type, ...]


class Reader(Protocol):
    """Reads keys from records of one shape."""

    def groups(self, records: Iterable[Record]) -> Groups:
        """Return the records by what they have in common."""

    def metadata(self, shared: Any) -> dict[str, Any]:
        """Return the metadata of a group, from the last part of its key."""

    def values(self, records: Iterable[Record], key: str) -> list[Number]:
        """Return a measurement of those that have it."""


class WholeReader:
    """Reads from records as they are."""

    def __init__(self, metadata_keys: Iterable[str]) -> None:
        self._keys = tuple(sorted(metadata_keys))

    def groups(self, records: Iterable[Record]) -> Groups:
        """Return the records by what they have in common."""
        groups: defaultdict[tuple[int, int, Any], list[Record]] = defaultdict(list)
        for record in records:
            shared = self._shared(record.metadata)
            groups[record.event_id, record.threshold, shared].append(record)
        return _typed(groups, lambda r: self._shared(r.metadata), lambda s: s)

    def _shared(self, metadata: Mapping[str, Any] | None) -> tuple[object, ...]:
        if not metadata:
            return ()
        values = [metadata.get(key, UNSET) for key in self._keys]
        return tuple(v if isinstance(v, _PLAIN) else UNSET for v in values)

    def metadata(self, shared: Any) -> dict[str, Any]:
        """Return the metadata of a group."""
        if isinstance(shared, Typed):
            shared = shared.shared
        pairs = zip(self._keys, shared, strict=False)  # none: there is no metadata
        return {key: value for key, value in pairs if value is not UNSET}

    def values(self, records: Iterable[Record], key: str) -> list[Number]:
        """Return a measurement of those that have it."""
        found = (record.measurements.get(key) for record in records)
        return [value for value in found if value is not None]


class Projection:
    """Decodes some keys and reads them."""

    def __init__(
        self, measurement_keys: Iterable[str], metadata_keys: Iterable[str]
    ) -> None:
        self._measured = _fields(measurement_keys)
        self._described = _fields(metadata_keys)
        self.decoder = make_decoder(
            _structure("Measurements", self._measured, int | float | UnsetType),
            _structure(
                "Metadata", self._described, str | int | float | bool | None | UnsetType
            ),
        )

    def groups(self, records: Iterable[Record]) -> Groups:
        """Return the records by what they have in common."""
        groups: defaultdict[tuple[int, int, Any], list[Record]] = defaultdict(list)
        for record in records:
            shared = record.metadata  # is hashable here, and made in C
            groups[record.event_id, record.threshold, shared].append(record)
        return _typed(groups, lambda r: r.metadata, self._values)

    def _values(self, shared: object) -> tuple[object, ...]:
        return tuple(getattr(shared, name) for name in self._described.values())

    def metadata(self, shared: object) -> dict[str, Any]:
        """Return the metadata of a group."""
        if isinstance(shared, Typed):
            shared = shared.shared
        if shared is None:
            return {}
        found = {key: getattr(shared, name) for key, name in self._described.items()}
        return {key: value for key, value in found.items() if value is not UNSET}

    def values(self, records: Iterable[Record], key: str) -> list[Number]:
        """Return a measurement of those that have it."""
        name = self._measured[key]
        found = [getattr(record.measurements, name) for record in records]
        return [value for value in found if value is not UNSET]


@lru_cache(_DECODERS_MAX)
def projection_of(
    measurement_keys: frozenset[str], metadata_keys: frozenset[str]
) -> Projection:
    """Return a projection, the same for the rings of all workers of one kind."""
    return Projection(measurement_keys, metadata_keys)


def _typed(
    groups: dict[tuple[int, int, Any], list[Record]],
    shared_of: Callable[[Record], Any],
    values_of: Callable[[Any], tuple[object, ...]],
) -> Groups:
    """Return the groups with those taken apart that have numbers of several kinds.

    Most have none, which is seen once per group.
    """
    for key in list(groups):
        shared = key[-1]
        if shared is None or not any(
            isinstance(v, _NUMBERS) for v in values_of(shared)
        ):
            continue
        for record in groups.pop(key):
            own = shared_of(record)
            typed = Typed(own, tuple(map(type, values_of(own))))
            groups.setdefault((*key[:-1], typed), []).append(record)
    return groups


def _fields(keys: Iterable[str]) -> dict[str, str]:
    """Return by key the name of its field: a key need not be a word of Python."""
    return {key: f"field_{number}" for number, key in enumerate(sorted(keys))}


def _structure(name: str, fields: Mapping[str, str], kind: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        name,
        [(field, kind, UNSET) for field in fields.values()],
        rename={field: key for key, field in fields.items()},
        frozen=True,
        gc=False,
    )
