"""Where a signal goes, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Protocol = Literal["grpc", "http/protobuf"]


@dataclass(frozen=True, slots=True)
class Target:
    """The backend of one signal.

    Attributes:
        address: of gRPC a host and port or `unix:` and a path; of HTTP a URL.
        is_secure: whether gRPC shall be encrypted; of HTTP the URL says it.
        headers: pairs that go with each request, such as a token.
        timeout_s: of one request.
        compression: `none` or `gzip`.
        certificate: file of the certificates that the server's is verified by; None:
            those of the system.
        client_certificate, client_key: files of ours; None: we show none.
    """

    protocol: Protocol
    address: str
    is_secure: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 10.0
    compression: str = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    @staticmethod
    def read(path: str | None) -> bytes | None:
        """Return what is in a file.

        Raises:
            OSError: it cannot be read.
        """
        return None if path is None else Path(path).read_bytes()
