"""What surrounds spans, log records and metrics: resource, scope and request.

Requests are concatenations, too: chunks of one signal make one request.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from shmtel.hub.bridges.opentelemetry.encoding import Attributes, piece, tag
from shmtel.hub.bridges.opentelemetry.identity import resource_attributes
from shmtel.hub.handlers import EventBatch
from shmtel.wire.frames import Worker

CHUNK_BYTES = 1 << 20  # a server takes 4 MiB unless it was told otherwise
_RINGS_MAX = 1_024  # whose resource is kept


class Signal(StrEnum):
    """What OTLP carries apart from each other."""

    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a request: whole fields, and how many spans or the like they hold."""

    data: bytes
    items: int


class Frame:
    """The tags around the items of one signal."""

    def __init__(
        self, request: type[Message], resource: type[Message], scope: type[Message]
    ) -> None:
        self._in_request = tag(request, request.DESCRIPTOR.fields[0].name)
        own = resource.DESCRIPTOR.fields  # resource, what is of a scope, schema_url
        self._resource = tag(resource, own[0].name)
        self._in_resource = tag(resource, own[1].name)
        scoped = InstrumentationScope(name="shmtel", version=metadata.version("shmtel"))
        self._scope = scope(scope=scoped).SerializeToString()
        self.item = tag(scope, scope.DESCRIPTOR.fields[1].name)

    def chunks(self, resource: bytes, items: Sequence[bytes]) -> Iterator[Chunk]:
        """Put items of one resource into chunks; each item is a whole field."""
        begin = size = 0
        for end, item in enumerate(items):
            if size and size + len(item) > CHUNK_BYTES:
                yield self._chunk(resource, items[begin:end])
                begin, size = end, 0
            size += len(item)
        if items:
            yield self._chunk(resource, items[begin:])

    def _chunk(self, resource: bytes, items: Sequence[bytes]) -> Chunk:
        scoped = piece(self._in_resource, self._scope + b"".join(items))
        data = piece(self._resource, resource) + scoped
        return Chunk(piece(self._in_request, data), len(items))


SPANS = Frame(ExportTraceServiceRequest, ResourceSpans, ScopeSpans)
LOGS = Frame(ExportLogsServiceRequest, ResourceLogs, ScopeLogs)


class Resources:
    """The resources of rings, as bytes.

    Args:
        common: attributes that all have.
    """

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = dict(common)
        self._attributes = Attributes(tag(Resource, "attributes"))
        self._kept: dict[tuple[str, str], tuple[Worker, bytes]] = {}

    def of(self, batch: EventBatch) -> bytes:
        """Return the resource of a ring."""
        key = batch.node, batch.ring_id
        worker, made = self._kept.get(key, (None, b""))
        if worker is not batch.worker:
            pieces: list[bytes] = []
            self._attributes.add(pieces, resource_attributes(batch, self._common))
            made = b"".join(pieces)
            if len(self._kept) >= _RINGS_MAX:
                self._kept.clear()
            self._kept[key] = batch.worker, made
        return made
