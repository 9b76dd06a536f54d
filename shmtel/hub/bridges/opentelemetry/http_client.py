"""OTLP over HTTP: a POST of protocol buffers for each request.

urllib3 keeps the connection, verifies the server, and knows when a kept connection is
gone. Its own retries are off: ours follow the OTLP specification.

Rules:
- a backend may send what it likes, as slowly as it likes: an answer is read for as
  long as a request has time, and as far as it can mean anything.
"""

import contextlib
import gzip
import time
from email.utils import parsedate_to_datetime
from urllib.request import getproxies, proxy_bypass

import urllib3
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from shmtel.hub.bridges.opentelemetry.deadline import Deadline, pool_classes
from shmtel.hub.bridges.opentelemetry.sender import Answer
from shmtel.hub.bridges.opentelemetry.services import Service, shortened
from shmtel.hub.bridges.opentelemetry.target import Target

_KIND = "application/x-protobuf"
_BODY_MAX = 64 << 10  # of an answer
_MAY_PASS = frozenset({429, 502, 503, 504})
_GZIP_LEVEL = 1


class HttpClient:
    """Sends requests of one signal to an HTTP server."""

    def __init__(self, target: Target, service: Service) -> None:
        self._target = target
        self._service = service
        self._headers = {**dict(target.headers), "Content-Type": _KIND}
        if target.compression == "gzip":
            self._headers["Content-Encoding"] = "gzip"
        self._deadline = Deadline()
        self._pool: urllib3.PoolManager | None = None

    def send(self, request: bytes, timeout_s: float) -> Answer:
        """Send a request and wait for its answer."""
        target = self._target
        body = request
        if target.compression == "gzip":
            body = gzip.compress(request, _GZIP_LEVEL, mtime=0)
        self._deadline.begin(timeout_s)
        try:
            self._pool = self._pool or self._make_pool()
            response = self._pool.request(
                *("POST", target.address),
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=timeout_s),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = response.read(_BODY_MAX)
            finally:
                response.close()  # one that was read to its end keeps its connection
        except urllib3.exceptions.LocationValueError as error:
            return Answer(error=f"{target.address}: {error}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(error=f"{target.address}: {_reason(error)}", may_pass=True)
        return self._judge(response, answer)

    def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            self._pool.clear()

    def _make_pool(self) -> urllib3.PoolManager:
        pool = _pool_of(self._target)
        pool.pool_classes_by_scheme = pool_classes(self._deadline)
        return pool

    def _judge(self, response: urllib3.BaseHTTPResponse, body: bytes) -> Answer:
        if 200 <= response.status < 300:
            return self._service.answer(body)
        kind = response.headers.get("Content-Type", "")
        text = _text_of(body, is_status=kind.startswith(_KIND))
        return Answer(
            error=f"{self._target.address}: {response.status} {text}".strip(),
            may_pass=response.status in _MAY_PASS,
            delay_s=retry_after(response.headers.get("Retry-After", "")),
        )


def _pool_of(target: Target) -> urllib3.PoolManager:
    scheme, _, rest = target.address.partition("://")
    proxy = getproxies().get(scheme)
    options = {
        "ca_certs": target.certificate,
        "cert_file": target.client_certificate,
        "key_file": target.client_key,
    }
    if proxy and not proxy_bypass(rest.partition("/")[0]):
        return urllib3.ProxyManager(proxy, **options)  # type: ignore[arg-type]
    return urllib3.PoolManager(**options)  # type: ignore[arg-type]


def _reason(error: Exception) -> str:
    """Return what failed; without the addresses of objects that urllib3 shows."""
    cause = getattr(error, "reason", None) or error
    return f"{type(cause).__name__}: {shortened(str(cause).rpartition('>: ')[2])}"


def _text_of(body: bytes, *, is_status: bool) -> str:
    """Return what an error says: OTLP has it in a Status, proxies anyhow."""
    if is_status:
        with contextlib.suppress(DecodeError):
            return shortened(Status.FromString(body).message)
    return shortened(body.decode("utf-8", "replace"))


def retry_after(text: str) -> float | None:
    """Return the seconds that a Retry-After header asks for, or its date."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):  # no date, or one of no calendar
        return None
