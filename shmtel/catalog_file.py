"""One file of a catalog, read and judged: TOML.

    [limits]
    keys = 64                          # see Limits

    [[modes]]                          # the last one that matches counts
    pattern = "shop.*"
    mode = "reject"                    # or strip, or pass

    [events."shop.order.placed"]
    summary = "A customer has placed an order."
    measurements = { total = "EUR" }   # by key, the unit
    metadata = ["country"]

    [spans."shop.check_out"]           # its .start, .stop and .exception
    metadata = ["country"]

    [families."shop.*"]                # keys of all events that match
    metadata = ["tenant"]

Rules: what is not known is refused, with the nearest name there is; every error
names the file, the line and the cure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shmtel.catalog_entries import (
    EMITTERS,
    KINDS,
    LAYERS,
    LIMIT_RANGES,
    Mode,
    ModeRule,
)
from shmtel.errors import ConfigurationError
from shmtel.toml_lines import Where
from shmtel.toml_source import TomlSource, shown

UNIT_LENGTH_MAX = 32
_CURE = "correct SHMTEL_CATALOG, or the option that names it"
_TABLES = ("limits", "modes", "events", "spans", "families")
_OWN_LISTS = ("reserved", "stamped")  # in shmtel's own file only
_MODE = ("pattern", "mode")
_KEYS = ("measurements", "metadata")
_WORDS = {"layer": LAYERS, "kind": KINDS}
_TEXTS = ("summary", "how")
_EVENT = (*_WORDS, "emitters", *_TEXTS, *_KEYS)
_SPAN = ("layer", "emitters", *_TEXTS, *_KEYS)
_NOT_IN_NAMES = frozenset("*?[] ")
_SPAN_EVENTS = (
    ("start", {"system_time": "ns"}, "it has begun"),
    ("stop", {"duration": "ns"}, "it has ended"),
    ("exception", {"duration": "ns"}, "it has raised an exception"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """What one table says of an event or a family.

    Attributes:
        where: of the table.
        fields: of the other fields of EventEntry, those that it says.
    """

    where: Where
    measurements: Mapping[str, str] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


class CatalogFile:
    """A file, and what it says.

    Attributes:
        reserved, stamped: see Catalog.
        limits: those of Limits that it sets.
        families: keys by pattern.
        events: names and what is said of them, in an order in which later ones add
            to earlier ones of that name.
    """

    def __init__(self, path: Path, *, is_own: bool = False) -> None:
        """Read a file; `is_own`: it is that of shmtel.

        Raises:
            ConfigurationError: it cannot be read, or something in it is wrong.
        """
        self._source = TomlSource(path, _CURE)
        root = self._source.root((*_TABLES, *(_OWN_LISTS if is_own else ())))
        self.reserved = self._source.texts(("reserved",), root.get("reserved", []))
        self.stamped = self._source.texts(("stamped",), root.get("stamped", []))
        self.limits = dict(self._limits(root.get("limits", {})))
        self.modes = tuple(self._modes(root.get("modes", [])))
        self.families = dict(self._parts("families", root, _KEYS))
        self.events = (
            *self._spans(root),
            *self._parts("events", root, _EVENT),
        )

    def fault(self, where: Where, text: str) -> ConfigurationError:
        """Return an error that tells where something is wrong."""
        return self._source.fault(where, text)

    # -- parts ---------------------------------------------------------------

    def _limits(self, value: object) -> Iterator[tuple[str, int]]:
        for key, number in self._source.table(
            ("limits",), value, tuple(LIMIT_RANGES)
        ).items():
            least, most = LIMIT_RANGES[key]
            if type(number) is not int or not least <= number <= most:
                text = (
                    f"`{key}` is a number from {least} to {most}, not {shown(number)}"
                )
                raise self._source.fault(("limits", key), text)
            yield key, number

    def _modes(self, value: object) -> Iterator[ModeRule]:
        if not isinstance(value, list):
            raise self._source.fault(("modes",), "write each mode as a table [[modes]]")
        for index, rule in enumerate(value):
            where = ("modes", index)
            table = self._source.table(where, rule, _MODE)
            for key in _MODE:
                if key not in table:
                    raise self._source.fault(
                        where, f"it has no `{key}`; a mode needs one"
                    )
            pattern = self._source.name((*where, "pattern"), table["pattern"])
            mode = self._source.word((*where, "mode"), table["mode"], tuple(Mode))
            yield ModeRule(pattern, Mode(mode))

    def _spans(self, root: Mapping[str, Any]) -> Iterator[tuple[str, Part]]:
        for operation, part in self._parts("spans", root, _SPAN):
            if part.measurements.get("duration", "ns") != "ns":
                where = (*part.where, "measurements", "duration")
                raise self.fault(where, "the `duration` of a span is in 'ns'")
            summary = part.fields.get("summary", "").rstrip(".")
            for kind, units, end in _SPAN_EVENTS:
                name = self._source.name(part.where, f"{operation}.{kind}")
                fields = {**part.fields, "kind": kind}
                if summary:
                    fields["summary"] = f"{summary}: {end}."
                own = part.measurements if kind == "stop" else {}
                yield name, Part(part.where, {**units, **own}, part.metadata, fields)

    def _parts(
        self, kind: str, root: Mapping[str, Any], known: Sequence[str]
    ) -> Iterator[tuple[str, Part]]:
        for name, value in self._source.table((kind,), root.get(kind, {})).items():
            where = (kind, self._source.name((kind, name), name))
            if kind != "families" and not _NOT_IN_NAMES.isdisjoint(name):
                text = f"{name!r} is not one event; for keys of many write [families]"
                raise self._source.fault(where, text)
            yield name, self._part(where, self._source.table(where, value, known))

    def _part(self, where: Where, table: Mapping[str, Any]) -> Part:
        fields: dict[str, Any] = {}
        for key, words in _WORDS.items():
            if key in table:
                fields[key] = self._source.word((*where, key), table[key], words)
        for key in _TEXTS:
            if key in table:
                fields[key] = self._source.text((*where, key), table[key])
        if "emitters" in table:
            emitters = self._source.texts((*where, "emitters"), table["emitters"])
            for index, emitter in enumerate(emitters):
                self._source.word((*where, "emitters", index), emitter, EMITTERS)
            fields["emitters"] = emitters
        return Part(
            where,
            self._units((*where, "measurements"), table.get("measurements", {})),
            self._source.texts((*where, "metadata"), table.get("metadata", [])),
            fields,
        )

    def _units(self, where: Where, value: object) -> dict[str, str]:
        units = self._source.table(where, value)
        for key, unit in units.items():
            self._source.name((*where, key), key)
            if len(self._source.text((*where, key), unit)) > UNIT_LENGTH_MAX:
                text = "a unit is a short word, such as ns, bytes, or 1 for a count"
                raise self._source.fault((*where, key), text)
        return units
