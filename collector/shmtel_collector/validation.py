"""Compiles the catalog into what the core holds the events of a ring against.

A shape is compiled once per event that the catalog names, and once per mode for
all others; rings share them. So a ring that comes costs a look-up per name, and
names that a worker makes up cost no memory.

Rules:
- before an event is drained its name has its shape: `renew` comes first;
- the collector's own rings are held against the limits alone: nothing that a user
  says of a name can take the record of this host apart.
"""

from functools import lru_cache, partial

from shmtel import _ring
from shmtel.catalog import Catalog, Mode
from shmtel_collector.logs import ConditionLog
from shmtel_collector.ring import Ring
from shmtel_collector.stripped import Stripped

_MODES = {
    Mode.PASS: _ring.MODE_PASS,
    Mode.STRIP: _ring.MODE_STRIP,
    Mode.REJECT: _ring.MODE_REJECT,
}
_NAMES_KEPT = 16_384  # whose mode is known without a look at the patterns


class Validation:
    """Knows the catalog in force, and what it has cost.

    Attributes:
        stripped: what delivered events were stripped of.
    """

    def __init__(self, catalog: Catalog, log: ConditionLog) -> None:
        self.stripped = Stripped(log)
        self._catalog = catalog
        self._known: dict[str, _ring.Shape] = {}
        self._unknown = {mode: self._compile(mode) for mode in Mode}
        self._mode_of = lru_cache(_NAMES_KEPT)(self._find_mode)

    def renew(self, ring: Ring) -> None:
        """Tell the consumer of a ring what its names mean, also the new ones."""
        names = [] if ring.is_own else ring.names
        ring.source.check_by(
            [self._shape_of(name) for name in names],
            self._unknown[Mode.PASS],
            # Not the ring itself, which would keep itself alive.
            partial(self.stripped.add, ring.names),
        )

    def _shape_of(self, name: str) -> "_ring.Shape":
        shape = self._known.get(name)
        if shape is not None:
            return shape
        if self._catalog.entry(name) is None:
            return self._unknown[self._mode_of(name)]
        shape = self._known[name] = self._compile(self._mode_of(name), name)
        return shape

    def _find_mode(self, name: str) -> Mode:
        """Return the mode of a name; one beyond the limit can be in no catalog."""
        if len(name.encode()) > self._catalog.limits.name_bytes:
            return Mode.REJECT
        return self._catalog.mode_of(name)

    def _compile(self, mode: Mode, name: str = "") -> "_ring.Shape":
        entry, limits = self._catalog.entry(name), self._catalog.limits
        return _ring.Shape(
            _MODES[mode],
            () if entry is None else entry.measurements,
            () if entry is None else entry.metadata,
            is_known=entry is not None,
            depth=limits.depth,
            keys=limits.keys,
            key_bytes=limits.name_bytes,
            string_bytes=limits.string_bytes,
        )
