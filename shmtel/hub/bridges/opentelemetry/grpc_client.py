"""OTLP over gRPC: requests and answers are bytes, one call each.

Rules:
- the channel is made when something is to be sent, in the thread that sends it.
"""

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from shmtel.hub.bridges.opentelemetry.sender import Answer
from shmtel.hub.bridges.opentelemetry.services import Service, shortened
from shmtel.hub.bridges.opentelemetry.target import Target

_DETAILS = "grpc-status-details-bin"
_MAY_PASS = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    # Ours is the delay between two tries; gRPC's own would make calls fail without one.
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


class GrpcClient:
    """Sends requests of one signal to a gRPC server."""

    def __init__(self, target: Target, service: Service) -> None:
        self._target = target
        self._service = service
        self._headers = [(name.lower(), text) for name, text in target.headers]
        self._channel: grpc.Channel | None = None
        self._export: Any = None

    def send(self, request: bytes, timeout_s: float) -> Answer:
        """Send a request and wait for its answer."""
        try:
            if self._export is None:
                self._connect()
            body = self._export(request, timeout=timeout_s, metadata=self._headers)
        except grpc.RpcError as error:
            return _failed(error)
        except (OSError, ValueError) as error:  # a certificate, or a closed channel
            return Answer(error=f"{self._target.address}: {error}")
        return self._service.answer(body)

    def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            self._channel.close()

    def _connect(self) -> None:
        target = self._target
        has_gzip = target.compression == "gzip"
        options: dict[str, Any] = {
            "options": _OPTIONS,
            "compression": grpc.Compression.Gzip if has_gzip else None,
        }
        if target.is_secure:
            credentials = grpc.ssl_channel_credentials(
                root_certificates=target.read(target.certificate),
                private_key=target.read(target.client_key),
                certificate_chain=target.read(target.client_certificate),
            )
            channel = grpc.secure_channel(target.address, credentials, **options)
        else:
            channel = grpc.insecure_channel(target.address, **options)
        self._channel = channel
        self._export = channel.unary_unary(self._service.method)


def _failed(error: Any) -> Answer:
    code = error.code()
    delay_s = _retry_delay(error)
    # Out of resources is worth another try only to who says when.
    may_pass = code in _MAY_PASS or (
        code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_s is not None
    )
    text = f"{code.name}: {shortened(error.details() or '')}"
    return Answer(error=text, may_pass=may_pass, delay_s=delay_s)


def _retry_delay(error: Any) -> float | None:
    """Return what RetryInfo among the details of a status says."""
    status = Status()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS:
            try:
                status.ParseFromString(value)
                return _delay_of(status)
            except DecodeError:
                return None
    return None


def _delay_of(status: Status) -> float | None:
    info = RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            delay = info.retry_delay
            return max(0.0, float(delay.seconds + delay.nanos / 1e9))
    return None
