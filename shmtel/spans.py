"""Spans beside the core: the decorator, and how an exception is described.

The span itself, as a context manager, is in the C core.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from shmtel import _ring
from shmtel.plain import plain_text

MAX_MESSAGE_LENGTH = 1024  # characters of error_message


def decorate(template: _ring.Span, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that each call is a span of its own."""
    arguments = (template.operation, template.metadata, template.correlation_id)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with _ring.span(*arguments):
                return await function(*args, **kwargs)

        return run_async

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with _ring.span(*arguments):
            return function(*args, **kwargs)

    return run


def describe_error(metadata: object, error: BaseException) -> dict[str, object]:
    """Return the metadata of a span with the error's type and message added."""
    described = dict(metadata) if isinstance(metadata, Mapping) else {}
    described["error_type"] = type(error).__name__
    try:
        described["error_message"] = plain_text(error)[:MAX_MESSAGE_LENGTH]
    except Exception:  # __str__ of a foreign class
        described["error_message"] = ""
    return described
