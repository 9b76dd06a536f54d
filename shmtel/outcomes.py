"""How what raised has ended, and what is said of an exception.

Rules: an exception is foreign code, judged by its type and never trusted with more
than its text; nothing heavy is imported here, since the first exception of a
worker pays for it.
"""

import sys
from collections.abc import Mapping
from typing import cast

from shmtel.plain import plain_text

MAX_MESSAGE_LENGTH = 1024  # characters of error_message

# Exceptions that say "stop", by the module that defines them. Where the module is
# not loaded nobody can have raised its exception; so none is imported for this.
_CANCELLED = (
    ("builtins", "GeneratorExit"),
    ("asyncio.exceptions", "CancelledError"),
    ("concurrent.futures._base", "CancelledError"),
    ("trio", "Cancelled"),
    ("greenlet", "GreenletExit"),
)
_OUTCOMES = ("error", "exit", "cancelled")


def outcome_of(error: BaseException) -> str:
    """Return how a span ended: `error`, `cancelled` or `exit`.

    A group is an error if any of its exceptions is, else an exit if any is.
    """
    raised = type(error)  # what an exception says of its class is its own affair
    if issubclass(raised, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return min(map(outcome_of, group.exceptions), key=_OUTCOMES.index)
    if issubclass(raised, SystemExit | KeyboardInterrupt):
        return "exit"
    for module, name in _CANCELLED:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(raised, kind):
            return "cancelled"
    return "error"


def describe_error(metadata: object, error: BaseException) -> dict[str, object]:
    """Return the metadata of a span with outcome, error's type and message added."""
    described = dict(metadata) if isinstance(metadata, Mapping) else {}
    described["outcome"] = outcome_of(error)
    described["error_type"] = type(error).__name__
    try:
        described["error_message"] = plain_text(str(error))[:MAX_MESSAGE_LENGTH]
    except Exception:  # __str__ of a foreign class
        described["error_message"] = ""
    return described
