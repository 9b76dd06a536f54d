"""A synchronous handler as its server calls it, inside the call's scope.

grpc.aio runs such handlers too, in threads, with a context of its own class that
does not tell what has been set; there a `NotingContext` remembers it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from shmtel.contrib.grpc.calls import RECEIVED, SENT, Call, Kind
from shmtel.contrib.grpc.messages import Messages
from shmtel.contrib.grpc.outcomes import of_handler
from shmtel.contrib.grpc.scopes import leave

Begin = Callable[[Any], Call]


class Handler:
    """Stands for a handler of the application, and has its attributes."""

    def __init__(self, behavior: Any, kind: Kind, begin: Begin) -> None:
        self._behavior = behavior
        self._kind = kind
        self._begin = begin

    def __call__(self, request: Any, context: Any, *send: Any) -> Any:
        """Handle a call; with `send`, which is experimental, to go on after it."""
        call = self._begin(context)
        if self._kind.has_requests:
            request = Messages(request, call, RECEIVED)
        if not hasattr(context, "code"):
            context = NotingContext(context)
        pushes = [_telling(each, call, context) for each in send]
        try:
            given = call.scope.run(self._behavior, request, context, *pushes)
        except BaseException as error:
            call.over(of_handler(context, error))
            raise
        if pushes:
            # The callback comes after any end; what was sent has been told by then.
            context.add_callback(lambda: call.over(of_handler(context, None)))
        elif self._kind.has_responses:
            return Responses(given, call, context)
        else:
            call.over(of_handler(context, None))
        return given

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behavior, name)


def _telling(send: Callable[[Any], None], call: Call, context: Any) -> Any:
    """Return what sends a response of a stream, or ends it with None, and tells it."""

    def send_and_tell(response: Any) -> None:
        if response is None:
            call.over(of_handler(context, None))
        send(response)
        if response is not None:
            call.message(SENT)

    return send_and_tell


class Responses:
    """The responses of a handler, each made in the scope of the call.

    A server that needs no more of them just drops them; so does this with those
    of the handler, in the scope, where a generator then does its last work.
    """

    def __init__(self, given: Any, call: Call, context: Any) -> None:
        self._given = given
        self._call = call
        self._context = context
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            message = self._call.scope.run(next, self._given)
        except StopIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._call.message(SENT)
        return message

    def _end(self, error: BaseException | None) -> None:
        self._is_over = True
        self._call.over(of_handler(self._context, error))

    def __del__(self) -> None:
        tokens = self._call.scope.enter()
        del self._given
        leave(tokens)
        if not self._is_over:
            self._end(GeneratorExit())


class NotingContext:
    """A context that also tells which status has been set."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: Any = None
        self._details = ""

    def code(self) -> Any:
        """Return the code that the handler has set."""
        return self._code

    def details(self) -> str:
        """Return the details that the handler has set."""
        return self._details

    def set_code(self, code: Any) -> None:
        """Set the code of the status."""
        self._context.set_code(code)
        self._code = code

    def set_details(self, details: str) -> None:
        """Set the details of the status."""
        self._context.set_details(details)
        self._details = details

    def abort(self, code: Any, details: str = "", *more: Any, **named: Any) -> None:
        """End the call by an exception."""
        self._code, self._details = code, details
        self._context.abort(code, details, *more, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
