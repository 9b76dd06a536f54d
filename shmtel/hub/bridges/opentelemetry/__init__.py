"""Events as spans and log records of OpenTelemetry, sent by OTLP.

    from shmtel.hub.bridges.opentelemetry import OpenTelemetryBridge

    bridge = OpenTelemetryBridge()
    bridge.attach(hub)

    events ── mapping ─► chunks ── outbox ─► sender ── grpc_client ─► backend
                │ items: one span or log        │       http_client
                │ encoding, frames: bytes       └ tries again, counts

Rules:
- the messages are those of the official opentelemetry-proto; its SDK is not needed.
"""

try:
    import google.rpc as _rpc  # noqa: F401
    import opentelemetry.proto as _proto  # noqa: F401
    import urllib3 as _urllib3  # noqa: F401
    import xxhash as _xxhash  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"the OpenTelemetry bridge needs {error.name}; install it with: "
        'pip install "shmtel[hub,opentelemetry]"'
    ) from error

from shmtel.hub.bridges.opentelemetry.bridge import OpenTelemetryBridge
from shmtel.hub.bridges.opentelemetry.settings import OpenTelemetrySettings

__all__ = ["OpenTelemetryBridge", "OpenTelemetrySettings"]
