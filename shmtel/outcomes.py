"""How what raised has ended, and what is said of an exception.

Rules: an exception is foreign code, judged by its type and never trusted with more
than its text; nothing heavy is imported here, since the first exception of a
worker pays for it.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

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
    described["error_message"] = text_or_nothing(message_of, error)
    return described


def message_of(error: BaseException) -> str:
    """Return the text of an exception, bounded; what its own code raises is raised."""
    return plain_text(str.__getitem__(str(error), slice(MAX_MESSAGE_LENGTH)))


def text_or_nothing(
    make: Callable[[Any], str], subject: Any, limit: int = MAX_MESSAGE_LENGTH
) -> str:
    """Return what a function makes of foreign code, bounded; nothing if that raises."""
    try:
        return make(subject)[:limit]
    except Exception:  # whatever the class of an exception makes of itself
        return ""
