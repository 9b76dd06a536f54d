"""How a call has ended: from what gRPC and the application say of it.

Rules: what is asked here is foreign (other interceptors wrap calls and contexts in
objects of their own) and may lack a method or raise; then the status is UNKNOWN.
"""

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from typing import Any, NamedTuple

import grpc

OK = "OK"
CANCELLED = "CANCELLED"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
UNIMPLEMENTED = "UNIMPLEMENTED"
UNKNOWN = "UNKNOWN"
ABANDONED = "nobody waits for the rest any more"
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_STOPPED = (
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    grpc.FutureCancelledError,
    GeneratorExit,
)


class RpcError(Exception):
    """Stands in the events for a status that is not OK; it is never raised."""

    __module__ = "shmtel.contrib.grpc"  # its name in events, whatever file it is in


class RpcCancelled(RpcError, concurrent.futures.CancelledError):
    """The same where somebody has cancelled the call."""

    __module__ = RpcError.__module__


class Outcome(NamedTuple):
    """The status by its name, and what is told as the error of the call."""

    status: str
    error: BaseException | None = None


def failed(status: str, details: Any = "") -> Outcome:
    """Return the outcome of a call that ended with a status."""
    if status == OK:
        return Outcome(OK)
    if isinstance(details, bytes):
        details = details.decode("utf-8", "replace")
    kind = RpcCancelled if status == CANCELLED else RpcError
    return Outcome(status, kind(details or ""))


def abandoned() -> Outcome:
    """Return the outcome of a call whose owner has dropped it."""
    return failed(CANCELLED, ABANDONED)


def name_of(code: Any) -> str:
    """Return the name of a code, which may be a number; that of no code is OK."""
    if code is None:
        return OK
    if isinstance(code, grpc.StatusCode):
        return code.name
    return _NAMES.get(code, UNKNOWN) if isinstance(code, int) else UNKNOWN


# -- on the client ------------------------------------------------------------


def of_error(error: BaseException) -> Outcome:
    """Judge what a call has raised."""
    if isinstance(error, _STOPPED):
        return failed(CANCELLED)
    if isinstance(error, grpc.RpcError) and hasattr(error, "code"):
        return failed(name_of(ask(error, "code")), ask(error, "details"))
    return Outcome(UNKNOWN, error)


def of_future(call: Any) -> Outcome:
    """Judge a call that is done."""
    try:
        error = call.exception()
    except Exception as raised:
        return of_error(raised)
    if error is None:
        return Outcome(OK)
    return of_error(error)


def of_aio_call(call: Any) -> Outcome:
    """Judge a call of grpc.aio that is done."""
    code = _at_once(ask(call, "code"))
    if code is None:
        return failed(UNKNOWN)
    return failed(name_of(code), _at_once(ask(call, "details")))


def _at_once(coroutine: Coroutine[Any, Any, Any] | None) -> Any:
    """Return what a coroutine gives that has nothing to wait for; else None."""
    if coroutine is None:
        return None
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    except Exception:  # of a call that is not gRPC's own
        return None
    coroutine.close()
    return None


# -- on the server ------------------------------------------------------------


def of_handler(context: Any, error: BaseException | None) -> Outcome:
    """Judge a handler that has returned, or raised an error."""
    is_stopped = isinstance(error, _STOPPED)
    if is_stopped or ask(context, "is_active") is False:
        outcome = _of_gone_client(context)
        is_its_own = error is not None and not is_stopped
        if is_its_own and not isinstance(error, grpc.RpcError):
            return outcome._replace(error=error)
        return outcome
    status = name_of(ask(context, "code"))
    if error is None:
        return failed(status, ask(context, "details"))
    if _is_abort(error):
        return failed(UNKNOWN if status == OK else status, ask(context, "details"))
    return Outcome(UNKNOWN if status == OK else status, error)


def _of_gone_client(context: Any) -> Outcome:
    is_late = ask(context, "time_remaining") == 0
    return failed(DEADLINE_EXCEEDED if is_late else CANCELLED, "the client has gone")


def _is_abort(error: BaseException) -> bool:
    """Tell what `context.abort` raises; of the synchronous server, a bare Exception."""
    is_bare = type(error) is Exception and not error.args
    return is_bare or isinstance(error, grpc.aio.AbortError)


def ask(thing: Any, name: str) -> Any:
    """Call a method without arguments; None if there is none, or if it raises."""
    try:
        return getattr(thing, name)()
    except Exception:  # a call or context of somebody's own
        return None
