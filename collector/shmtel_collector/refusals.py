"""How often collectors of a namespace refused or quarantined a ring, by reason.

A refused segment is not read at all; a quarantined one was, until it turned out
to be damaged. Each is counted once for as long as it is there, and once more by
a collector that is started while it still is.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Refusals:
    """Counts of rings by reason."""

    refused: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)

    def plus(
        self, refused: Mapping[str, int], quarantined: Mapping[str, int]
    ) -> "Refusals":
        """Return the sum with later counts."""
        return Refusals(
            Counter(self.refused) + Counter(refused),
            Counter(self.quarantined) + Counter(quarantined),
        )

    def to_json(self) -> dict[str, dict[str, int]]:
        """Return it as plain data, in the order of the reasons."""
        return {
            "refused": dict(sorted(self.refused.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }


def to_text(refusals: Refusals) -> str:
    """Return the counts as text."""
    return json.dumps(refusals.to_json())


def from_text(text: str | None) -> Refusals:
    """Read what `to_text` wrote; what is no count is left out, for it only informs."""
    try:
        tables = json.loads(text or "{}")
        return Refusals(
            *(_counts(tables.get(key)) for key in ("refused", "quarantined"))
        )
    except (ValueError, AttributeError):
        return Refusals()


def _counts(table: object) -> dict[str, int]:
    if not isinstance(table, dict):
        return {}
    return {k: n for k, n in table.items() if type(n) is int and n > 0}
