"""Whether a daemon does its work, in words.

The answer of `/readyz` and `/livez`, after the habit of Kubernetes: a line for each
check, with `?verbose` all of them, else those that fail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shmtel.safe_text import escaped


@dataclass(frozen=True, slots=True)
class Check:
    """One condition.

    Attributes:
        is_required: False: it is told, and the daemon is ready without it.
    """

    name: str
    is_ok: bool
    detail: str = ""
    is_required: bool = True


READY = ("ready", "not ready")
ALIVE = ("alive", "stalled")


@dataclass(frozen=True, slots=True)
class Readiness:
    """All conditions at one moment, and what their sum is called."""

    checks: Sequence[Check] = ()
    words: tuple[str, str] = READY

    @property
    def is_ready(self) -> bool:
        """Whether nothing fails that is required."""
        return all(check.is_ok or not check.is_required for check in self.checks)

    def text(self, *, is_verbose: bool = False) -> str:
        """Return a line for each check that is to be told, and the sum of them."""
        return "".join(f"{line}\n" for line in self._lines(is_verbose=is_verbose))

    def _lines(self, *, is_verbose: bool) -> Iterator[str]:
        for check in self.checks:
            if is_verbose or (check.is_required and not check.is_ok):
                yield _line(check)
        yield self.words[0] if self.is_ready else self.words[1]


def _line(check: Check) -> str:
    sign, word = ("+", "ok") if check.is_ok else ("-", "failed")
    if not check.is_ok and not check.is_required:
        sign, word = " ", "not required"
    detail = f": {check.detail}" if check.detail else ""
    # Names of hosts and words of errors are not ours.
    return escaped(f"[{sign}]{check.name} {word}{detail}")
