"""The hub: receives the streams of many collectors and hands out their events.

from shmtel.hub import Hub

with Hub("127.0.0.1:4737") as hub:
    hub.attach("printer", "tool.*", lambda *event: print(event))
"""

try:
    import google.protobuf as _protobuf  # noqa: F401
    import grpc as _grpc  # noqa: F401
    import grpc_health as _grpc_health  # noqa: F401
    import msgspec as _msgspec  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'the hub needs {error.name}; install it with: pip install "shmtel[hub]"'
    ) from error

from shmtel.hub.hub import Hub

__all__ = ["Hub"]
