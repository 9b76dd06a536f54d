"""`grpc.health.v1` and server reflection on the hub's gRPC port.

Health follows readiness: SERVING is what /readyz calls ready. It is looked at when
somebody asks, and once a second for whoever watches; without watchers nothing wakes.

A watch or a reflection lasts as long as its client likes. So they have rooms of their
own, PROBES_MAX of them, beside those of collectors and operators: one more is refused,
counted, and never costs a collector its stream.

Rules:
- bytes come in unparsed, as everywhere in the server: a broken request is answered,
  and no defect;
- reflection is loaded when it is first used, for that takes longer than all else here.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from shmtel.hub.counters import Counters

PROBES_MAX = 16  # that last, at the same time
LOOK_S = 1.0
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
_STATUS = health_pb2.HealthCheckResponse.ServingStatus
_UNKNOWN = int(_STATUS.Value("SERVICE_UNKNOWN"))
_Handlers = dict[str, "grpc.RpcMethodHandler[Any, Any]"]


class Probes:
    """Tells probes how the hub is, and tools what it serves.

    Args:
        services: names that have a health, which is the hub's; beside that of the
            server as a whole, whose name is empty.
        is_ready: whether the hub keeps up; asking it never waits.
    """

    def __init__(
        self,
        services: Sequence[str],
        is_ready: Callable[[], bool],
        counters: Counters,
        probes_max: int = PROBES_MAX,
    ) -> None:
        self._services = tuple(services)
        self._is_ready = is_ready
        self._counters = counters
        self._room = threading.BoundedSemaphore(probes_max)
        self._lock = threading.Lock()
        self._watchers: set[threading.Event] = set()
        self._is_over = False

    def handlers(self) -> dict[str, _Handlers]:
        """Return what is served, by service and method."""
        health: _Handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        if hasattr(health_pb2, "HealthListRequest"):  # it came later
            health["List"] = grpc.unary_unary_rpc_method_handler(self._list)
        reflection: _Handlers = {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._reflect)
        }
        return {HEALTH: health, REFLECTION: reflection}

    def close(self) -> None:
        """Tell all who watch that the hub serves no more, and let them go."""
        with self._lock:
            self._is_over = True
            for watcher in self._watchers:
                watcher.set()

    # -- health ----------------------------------------------------------------

    def _check(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        service = _service(data, context)
        if not self._knows(service):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        return _encoded(self._status())

    def _list(self, _data: bytes, _context: grpc.ServicerContext) -> bytes:
        status = health_pb2.HealthCheckResponse(status=self._status())
        names = ("", *self._services)
        answer = health_pb2.HealthListResponse(statuses=dict.fromkeys(names, status))
        return bytes(answer.SerializeToString())

    def _watch(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        service = _service(data, context)
        with self._a_room(context), self._watching(context) as is_over:
            last = None
            while context.is_active():
                is_last = is_over.is_set()  # asked first: the last word is the truth
                now = self._status() if self._knows(service) else _UNKNOWN
                if now != last:
                    last = now
                    yield _encoded(now)
                if is_last:
                    return
                is_over.wait(LOOK_S)

    def _knows(self, service: str) -> bool:
        return not service or service in self._services

    def _status(self) -> int:
        is_well = not self._is_over and self._is_ready()
        return int(_STATUS.Value("SERVING" if is_well else "NOT_SERVING"))

    @contextmanager
    def _watching(self, context: grpc.ServicerContext) -> Iterator[threading.Event]:
        """Give what is set when the watch ends, by the client or by us."""
        is_over = threading.Event()
        with self._lock:
            self._watchers.add(is_over)
            if self._is_over:
                is_over.set()
        try:
            if not context.add_callback(is_over.set):
                is_over.set()
            yield is_over
        finally:
            with self._lock:
                self._watchers.discard(is_over)

    # -- reflection --------------------------------------------------------------

    def _reflect(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        names = (*self._services, HEALTH, REFLECTION)
        servicer = reflection.ReflectionServicer(names)
        decode = reflection_pb2.ServerReflectionRequest.FromString
        with self._a_room(context):
            try:
                for answer in servicer.ServerReflectionInfo(
                    map(decode, requests), context
                ):
                    yield answer.SerializeToString()
            except DecodeError:
                _refuse_broken(context)
            except grpc.RpcError:
                return  # the client has gone

    @contextmanager
    def _a_room(self, context: grpc.ServicerContext) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            self._counters.add(refused_probes=1)
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too many watch this hub already; ask with Check",
            )
        try:
            yield
        finally:
            self._room.release()


def _service(data: bytes, context: grpc.ServicerContext) -> str:
    try:
        return str(health_pb2.HealthCheckRequest.FromString(data).service)
    except DecodeError:
        _refuse_broken(context)
        raise


def _refuse_broken(context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no request")


def _encoded(status: int) -> bytes:
    return bytes(health_pb2.HealthCheckResponse(status=status).SerializeToString())
