"""Spans of what a worker executes: `python.call` and `tool.execution`.

They are what `shmtel.span` makes, with the operation of the catalog and the name
of what is executed: the one that is given, else that of the decorated function.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from shmtel import _ring
from shmtel.callables import name_of_call
from shmtel.interruptions import pass_on

_F = TypeVar("_F", bound=Callable[..., Any])
_Metadata = Mapping[str, object] | None


@overload
def call(command: _F, /) -> _F: ...
@overload
def call(
    command: str, metadata: _Metadata = None, correlation_id: str | None = None
) -> _ring.Span: ...
@overload
def call(
    command: None = None,
    metadata: _Metadata = None,
    correlation_id: str | None = None,
) -> Callable[[_F], _F]: ...
def call(
    command: Any = None,
    metadata: _Metadata = None,
    correlation_id: str | None = None,
) -> Any:
    """Time a command: `python.call.start`, then `.stop` or `.exception`.

    `@call` names each call by the function, `@call("name")` by the name given, and
    `with call("name"):` times a block. `call(metadata=...)` decorates too.
    """
    return _execution("python.call", "command", command, metadata, correlation_id)


@overload
def tool(name: _F, /) -> _F: ...
@overload
def tool(
    name: str, metadata: _Metadata = None, correlation_id: str | None = None
) -> _ring.Span: ...
@overload
def tool(
    name: None = None,
    metadata: _Metadata = None,
    correlation_id: str | None = None,
) -> Callable[[_F], _F]: ...
def tool(
    name: Any = None,
    metadata: _Metadata = None,
    correlation_id: str | None = None,
) -> Any:
    """Time a tool: `tool.execution.start`, then `.stop` or `.exception`.

    As a decorator and a context manager like `call`; the metadata key is `tool`.
    """
    return _execution("tool.execution", "tool", name, metadata, correlation_id)


def _execution(
    operation: str, key: str, name: Any, metadata: _Metadata, correlation_id: Any
) -> Any:
    def named(name: object) -> _ring.Span:
        return _ring.span(operation, _with(metadata, key, name), correlation_id)

    def decorate(function: Any) -> Any:
        return named(name_of_call(function))(function)

    if name is None:
        return decorate
    if callable(name) or isinstance(name, classmethod | staticmethod):
        return decorate(name)
    return named(name)


def _with(metadata: Any, key: str, name: object) -> Any:
    """Return metadata with the name in it; as it is if it is none: a span counts it."""
    if metadata is None:
        return {key: name}
    try:
        return {**metadata, key: name}
    except Exception as error:
        pass_on(error)
        return metadata
