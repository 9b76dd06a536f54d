"""The gRPC server: the only module of the hub that knows grpc.

Bytes go through unparsed: what a peer sent is decoded by our own code, so that
a broken frame is answered in the protocol and not by grpc.

Each call has a thread of its own for as long as it lasts, and the number of
calls is bounded: as many streams as collectors are allowed, some calls of operators,
and some probes. One more is refused at once with the way out. A pool of threads would
leave it waiting without a word until its deadline, and its threads would keep a
program from exiting that forgot to stop its hub.

Rules:
- errors of grpc are translated here.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from itertools import starmap
from threading import BoundedSemaphore
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

import grpc

from shmtel import daemon_threads
from shmtel.errors import ConfigurationError, ShmtelError
from shmtel.hub.control import WAITING_MAX, Busy, Control, Method, StreamingMethod
from shmtel.hub.counters import Counters
from shmtel.hub.probes import PROBES_MAX, Probes
from shmtel.hub.store import StoreError
from shmtel.hub.stream import Stream
from shmtel.wire.control import SERVICE
from shmtel.wire.errors import RemoteProtocolError

_UPLINK = "shmtel.v1.Uplink"
# At the same time, beside the streams; checks of health are as short as those calls.
_OPERATOR_CALLS = WAITING_MAX + 8

# Without ping_timeout_ms a dead connection is noticed after a minute, whatever
# keepalive_timeout_ms says. The smallest interval between pings lies below the
# collector's, or its keepalive would be taken for an attack.
_OPTIONS = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Its probes would wake both processes once more after each heartbeat.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4 << 20),
    # Two hubs on one port would share its collectors without noticing.
    ("grpc.so_reuseport", 0),
)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class _ThreadPerCall(Executor):
    """Starts a thread that does not outlive the program for each call."""

    def submit(
        self,
        fn: Callable[_Arguments, _Result],
        /,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> Future[_Result]:
        """Run a call; its result goes into the future."""
        return daemon_threads.start(partial(fn, *args, **kwargs), "shmtel-hub")


class Server:
    """Accepts streams and operators' calls on one address."""

    def __init__(
        self,
        listen: str,
        max_collectors: int,
        make_stream: Callable[[], Stream],
        control: Control,
        counters: Counters,
        is_ready: Callable[[], bool],
    ) -> None:
        self._listen = listen
        self._max_collectors = max_collectors
        self._make_stream = make_stream
        self._counters = counters
        self._room = BoundedSemaphore(max_collectors)
        self._probes = Probes((_UPLINK, SERVICE), is_ready, counters)
        calls = max_collectors + _OPERATOR_CALLS + PROBES_MAX
        self._grpc = grpc.server(
            cast(Any, _ThreadPerCall()),  # all that grpc does with it is submit
            options=_OPTIONS,
            maximum_concurrent_rpcs=calls,
        )
        services: dict[str, Mapping[str, grpc.RpcMethodHandler[Any, Any]]] = {
            _UPLINK: {"Stream": grpc.stream_stream_rpc_method_handler(self._stream)},
            SERVICE: _handlers(control),
            **self._probes.handlers(),
        }
        self._grpc.add_generic_rpc_handlers(
            tuple(starmap(grpc.method_handlers_generic_handler, services.items()))
        )

    def start(self) -> str:
        """Listen; return the address with the port that was given.

        Raises:
            ConfigurationError: the address cannot be listened on.
        """
        try:
            port = self._grpc.add_insecure_port(self._listen)
        except RuntimeError as error:
            raise ConfigurationError(
                f"the hub cannot listen on {self._listen}: the address is in use, "
                "not of this machine, or not permitted; choose another address"
            ) from error
        self._grpc.start()
        host, separator, _port = self._listen.rpartition(":")
        is_unix = self._listen.startswith("unix:")
        return self._listen if is_unix else f"{host}{separator}{port}"

    def stop(self, grace_s: float) -> None:
        """Stop accepting and end what is left after the grace."""
        self._probes.close()
        self._grpc.stop(grace_s).wait(grace_s + 1.0)

    def _stream(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        if not self._room.acquire(blocking=False):
            self._counters.add(refused_streams=1)
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"this hub serves {self._max_collectors} collectors; "
                "raise max_collectors",
            )
        stream = self._make_stream()
        if not context.add_callback(stream.disconnect):
            stream.disconnect()  # the call had ended before it began
        try:
            yield from stream.serve(_until_end(requests))
        finally:
            self._room.release()


_CODES: dict[type[ShmtelError], grpc.StatusCode] = {
    ConfigurationError: grpc.StatusCode.INVALID_ARGUMENT,
    RemoteProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
    StoreError: grpc.StatusCode.FAILED_PRECONDITION,
    Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def _handlers(control: Control) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
    unary = {name: _unary(call) for name, call in control.methods().items()}
    return unary | {name: _stream(call) for name, call in control.streams().items()}


def _unary(method: Method) -> "grpc.RpcMethodHandler[Any, Any]":
    def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return method(data, context.add_callback)
        except tuple(_CODES) as error:
            _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(answer)


def _stream(method: StreamingMethod) -> "grpc.RpcMethodHandler[Any, Any]":
    def answer(data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            yield from method(data)
        except tuple(_CODES) as error:
            _abort(context, error)

    return grpc.unary_stream_rpc_method_handler(answer)


def _abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    code = next(c for kind, c in _CODES.items() if isinstance(error, kind))
    context.abort(code, str(error))


def _until_end(requests: Iterator[bytes]) -> Iterator[bytes]:
    """Iterate requests until the call is over, in whatever way."""
    try:
        yield from requests
    except grpc.RpcError:
        return
