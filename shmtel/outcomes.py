"""How what raised has ended, and what is said of an exception.

Rules: an exception is foreign code, judged by its type and never trusted with more
than its text; nothing heavy is imported here, since the first exception of a
worker pays for it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shmtel.plain import plain_text

MAX_MESSAGE_LENGTH = 1024  # characters of error_message
MAX_NAME_LENGTH = 256  # characters of error_type
# Of classes themselves: a metaclass may have another.
_module_of = type.__dict__["__module__"].__get__
_qualified_name_of = type.__dict__["__qualname__"].__get__

# Exceptions that say "stop", by the module that defines them. Where the module is
# not loaded nobody can have raised its exception; so none is imported for this.
_CANCELLED = (
    ("builtins", "GeneratorExit"),
    ("asyncio.exceptions", "CancelledError"),
    ("concurrent.futures._base", "CancelledError"),
    ("trio", "Cancelled"),
    ("greenlet", "GreenletExit"),
)
_LEFT_OUT = ("", "builtins")  # modules that no name has in front
_OUTCOMES = ("error", "exit", "cancelled")
# Of the group itself: what a subclass makes of the name could have no end.
_exceptions_of: Callable[..., tuple[BaseException, ...]] = (
    BaseExceptionGroup.exceptions.__get__
)


def outcome_of(error: BaseException) -> str:
    """Return how a span ended: `error`, `cancelled` or `exit`.

    A group is an error if any of its exceptions is, else an exit if any is.
    """
    outcomes = {_outcome_of_one(one) for one in _ungrouped(error)}
    return min(outcomes, key=_OUTCOMES.index)


def _ungrouped(error: BaseException) -> Iterator[BaseException]:
    """Yield what is in a group, however deep; each once, since groups share parts."""
    left, seen = [error], {id(error)}
    while left:
        one = left.pop()
        # What an exception says of its class is its own affair.
        if not issubclass(type(one), BaseExceptionGroup):
            yield one
            continue
        for inner in _exceptions_of(one):
            if id(inner) not in seen:
                seen.add(id(inner))
                left.append(inner)


def _outcome_of_one(error: BaseException) -> str:
    raised = type(error)
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
    described["error_type"] = type_name(type(error))
    described["error_message"] = text_or_nothing(message_of, error)
    return described


def type_name(kind: type) -> str:
    """Return the name of a class, bounded: what OpenTelemetry calls exception.type.

    That is its qualified name, with the module in front unless that is `builtins`;
    without one where a class says of its module what is no text.
    """
    name = _name_part(_qualified_name_of(kind))
    try:
        module = _module_of(kind)
    except AttributeError:  # made where there is none
        return name
    if not issubclass(type(module), str) or (module := _name_part(module)) in _LEFT_OUT:
        return name
    return f"{module}.{name}"[:MAX_NAME_LENGTH]


def _name_part(text: str) -> str:
    """Return what is plain text of a name, which may be of a subclass of str."""
    if type(text) is str and text.isascii():  # nearly all of them, and this is faster
        return text[:MAX_NAME_LENGTH]
    return plain_text(str.__getitem__(text, slice(MAX_NAME_LENGTH)))[:MAX_NAME_LENGTH]


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
