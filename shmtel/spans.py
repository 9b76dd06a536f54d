"""Spans beside the core: the decorator.

The span itself, as a context manager, is in the C core.

A decorated generator is a span from its first step to its end. It is the current
span while the generator's own code runs, and never in the code that consumes it:
between two steps it is suspended. So interleaved generators are not each other's
parents, and a consumer's events are not children of what it consumes.
"""

import functools
import sys
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from shmtel import _ring
from shmtel.callables import Kind, is_awaitable_generator, kind_of_call


def decorate(template: _ring.Span, function: Any) -> Any:
    """Wrap a function so that each call is a span of its own.

    Functions, generator functions, coroutine functions, asynchronous generator
    functions, class and static methods, partials and callable objects.

    Raises:
        TypeError: it can not be called.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(decorate(template, function.__func__))
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(f"a span decorates what can be called, not a {kind}")
    new_span = functools.partial(
        _ring.span, template.operation, template.metadata, template.correlation_id
    )
    wrapper = _WRAPPERS[kind_of_call(function)]
    return functools.wraps(function)(wrapper(new_span, function))


_NewSpan = Callable[[], _ring.Span]
_Function = Callable[..., Any]
_Wrapper = Callable[[_NewSpan, _Function], _Function]


def _around_call(new_span: _NewSpan, function: _Function) -> _Function:
    def run(*args: Any, **kwargs: Any) -> Any:
        with new_span():
            return function(*args, **kwargs)

    return run


def _around_coroutine(new_span: _NewSpan, function: _Function) -> _Function:
    async def run(*args: Any, **kwargs: Any) -> Any:
        with new_span():
            return await function(*args, **kwargs)

    return run


def _around_generator(new_span: _NewSpan, function: _Function) -> _Function:
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _Steps(new_span(), function(*args, **kwargs)))

    return types.coroutine(run) if is_awaitable_generator(function) else run


class _Steps(Generator[Any, Any, Any]):
    """Steps of a generator, each with the span as the current one.

    `yield from` passes send, throw, close and the returned value through to it.
    """

    def __init__(self, span: _ring.Span, body: Any) -> None:
        self._span = span
        self._body = body
        span.__enter__()
        _ring.suspend(span)

    def send(self, value: Any) -> Any:
        return self._step(self._body.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._body.throw, *error)

    def close(self) -> Any:
        _ring.resume(self._span)
        try:
            value = self._body.close()
        except BaseException as error:
            _end(self._span, error)
            raise
        _end(self._span, GeneratorExit())
        return value

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        _ring.resume(self._span)
        try:
            value = step(*arguments)
        except StopIteration:
            self._span.__exit__(None, None, None)
            raise
        except BaseException as error:
            _end(self._span, error)
            raise
        _ring.suspend(self._span)
        return value


def _end(span: _ring.Span, error: BaseException) -> None:
    span.__exit__(type(error), error, error.__traceback__)


def _around_async_generator(new_span: _NewSpan, function: _Function) -> _Function:
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        with new_span() as span:
            step = _first_step(body)
            while True:
                try:
                    value = await step
                except StopAsyncIteration:
                    return
                _ring.suspend(span)
                try:
                    sent = yield value
                except GeneratorExit:
                    _ring.resume(span)
                    await body.aclose()
                    raise
                except BaseException as error:
                    _ring.resume(span)
                    step = body.athrow(error)
                else:
                    _ring.resume(span)
                    step = body.asend(sent)

    return run


def _first_step(body: Any) -> Any:
    """Begin an asynchronous generator that nobody but its wrapper is to close.

    At its end an event loop closes all those that it has seen begin, at once: the
    wrapper, which closes the body, and the body, which then is closing already.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return body.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


_WRAPPERS: dict[Kind, _Wrapper] = {
    "value": _around_call,
    "coroutine": _around_coroutine,
    "generator": _around_generator,
    "async generator": _around_async_generator,
}
