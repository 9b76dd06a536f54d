"""The catalog: the one place that names events.

catalog.toml beside this module names the events of shmtel; files of a user add to
it: events, keys of events, modes, limits. Documents, `shmtel catalog` and the
collector's validation are made from what `load` returns.

A file only adds. An event keeps what was said of it first; a key that has a unit
keeps it. So the order of files matters for modes and limits alone: the last one
that speaks of a name counts.

Rules: `import shmtel` does not load this, and nothing is validated in a worker.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from shmtel.catalog_entries import EventEntry, Limits, Mode, ModeRule
from shmtel.catalog_file import CatalogFile, Part

__all__ = ["Catalog", "EventEntry", "Limits", "Mode", "ModeRule", "load", "paths_of"]

VARIABLE = "SHMTEL_CATALOG"
FIELDS = ("layer", "kind", "emitters", "summary", "how")
BUILT_IN = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True, slots=True)
class Catalog:
    """All events that are known, and what becomes of others.

    Attributes:
        events: by name.
        modes: rules; the last one that matches counts.
        reserved: the first segments of names that are shmtel's to give.
        stamped: keys of metadata that the hub sets, and no event brings.
    """

    events: Mapping[str, EventEntry]
    modes: tuple[ModeRule, ...] = ()
    limits: Limits = field(default_factory=Limits)
    reserved: tuple[str, ...] = ()
    stamped: tuple[str, ...] = ()

    def entry(self, name: str) -> EventEntry | None:
        """Return what is known of an event."""
        return self.events.get(name)

    def mode_of(self, name: str) -> Mode:
        """Return what becomes of an event that is not known, or of such keys.

        Without a rule: `strip` where the name is reserved, else `pass`.
        """
        for rule in reversed(self.modes):
            if fnmatchcase(name, rule.pattern):
                return rule.mode
        return Mode.STRIP if self.is_reserved(name) else Mode.PASS

    def is_reserved(self, name: str) -> bool:
        """Tell whether a name is in a namespace of shmtel."""
        return name.partition(".")[0] in self.reserved


def load(user_paths: Sequence[Path] = ()) -> Catalog:
    """Return the catalog of shmtel, with what the files of a user add.

    Raises:
        ConfigurationError: a file cannot be read, or something in it is wrong; the
            text names file, line and cure.
    """
    merge = _Merge(CatalogFile(BUILT_IN, is_own=True))
    for path in user_paths:
        merge.add(CatalogFile(path))
    return merge.catalog()


def paths_of(environment: Mapping[str, str]) -> list[Path]:
    """Return the files that SHMTEL_CATALOG names, with colons in between."""
    return [Path(path) for path in environment.get(VARIABLE, "").split(":") if path]


class _Merge:
    """A catalog in the making."""

    def __init__(self, own: CatalogFile) -> None:
        self._own = own
        self._entries: dict[str, EventEntry] = {}
        self._families: list[tuple[CatalogFile, str, Part]] = []
        self._modes: list[ModeRule] = []
        self._limits = Limits()
        self._said: dict[str, set[str]] = {}  # which fields of an event are settled
        self.add(own)
        self._said = {name: set(FIELDS) for name in self._entries}

    def add(self, file: CatalogFile) -> None:
        """Add what a file says.

        Raises:
            ConfigurationError: it contradicts what was said before.
        """
        for name, part in file.events:
            entry = self._entries.get(name) or self._with_families(EventEntry(name))
            said = self._said.setdefault(name, set())
            _refuse_change(file, part, entry, said)
            said.update(part.fields)
            entry = replace(entry, **part.fields)
            self._entries[name] = self._extended(file, part, entry)
        self._families += [(file, glob, part) for glob, part in file.families.items()]
        self._entries = {n: self._with_families(e) for n, e in self._entries.items()}
        self._modes += file.modes
        self._limits = replace(self._limits, **file.limits)

    def catalog(self) -> Catalog:
        """Return what has come together.

        Raises:
            ConfigurationError: a family matches no event, of whichever file.
        """
        for file, glob, part in self._families:
            if not any(fnmatchcase(name, glob) for name in self._entries):
                text = f"no event matches {glob!r}; correct it, or name such an event"
                raise file.fault(part.where, text)
        return Catalog(
            self._entries,
            tuple(self._modes),
            self._limits,
            self._own.reserved,
            self._own.stamped,
        )

    def _with_families(self, entry: EventEntry) -> EventEntry:
        """Add the keys of families; at once, so that a later file is to blame."""
        for file, glob, part in self._families:
            if fnmatchcase(entry.name, glob):
                entry = self._extended(file, part, entry)
        return entry

    def _extended(self, file: CatalogFile, part: Part, entry: EventEntry) -> EventEntry:
        for key, unit in part.measurements.items():
            known = entry.measurements.get(key, unit)
            if known != unit:
                raise file.fault(
                    (*part.where, "measurements", key),
                    f"{key!r} of {entry.name} is in {known!r} already, not in {unit!r};"
                    " give it that unit, or choose another key",
                )
        for index, key in enumerate(part.metadata):
            if key in self._own.stamped:
                raise file.fault(
                    (*part.where, "metadata", index),
                    f"{key!r} is set by the hub, and an event's own arrives as"
                    f" 'user.{key}'; choose another key",
                )
        return replace(
            entry,
            measurements={**entry.measurements, **part.measurements},
            metadata=tuple(dict.fromkeys((*entry.metadata, *part.metadata))),
        )


def _refuse_change(
    file: CatalogFile, part: Part, entry: EventEntry, said: Container[str]
) -> None:
    """Refuse another word about an event than the first one."""
    for key, value in part.fields.items():
        known = getattr(entry, key)
        if key in said and known != value:
            raise file.fault(
                (*part.where, key),
                f"`{key}` of {entry.name} is {known!r} already; a catalog can add keys"
                " to an event, and change nothing: remove this, or name an event of"
                " your own",
            )
