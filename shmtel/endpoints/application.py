"""What the HTTP server answers.

    /metrics           Prometheus text, or OpenMetrics when that is asked for
    /livez             200 while the daemon's work goes round; ?verbose tells why
    /readyz            200 when it can do its work; ?verbose tells why
    /api/v1            what there is as JSON, if there is anything
    /api/v1/NAME       one resource

Rules:
- what there is as JSON is put together in threads, of which there are few: neither
  probes nor scrapes wait for it;
- what is wrong under /api is told as a problem document (RFC 9457);
- text of others leaves as JSON escapes or as plain text, never as a page.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shmtel.endpoints.apart import BusyError, FewApart
from shmtel.endpoints.readiness import Readiness
from shmtel.endpoints.resources import BadQueryError, Resource, parse_query
from shmtel.errors import ShmtelError

API = "/api/v1"
INDEX_SCHEMA = "shmtel/api/index/v1"
ANSWERS_MAX = 2  # documents that are put together at once
_RETRY_S = 1
_ENDS = "the daemon ends"
_Answer = Callable[[Request], Awaitable[Response]]


class Target(Protocol):
    """The daemon behind the endpoints. It is asked in the thread of the server.

    What its resources read is not: see Resource.
    """

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return a scrape and its content type.

        Raises:
            ShmtelError: there is none now; the text says why.
        """

    async def readiness(self) -> Readiness:
        """Return whether the daemon can do its work."""

    def liveness(self) -> Readiness:
        """Return whether its work goes round."""

    def resources(self) -> Sequence[Resource]:
        """Return what it tells as JSON."""


def application(target: Target) -> Starlette:
    """Return what answers for a target."""
    answers = {"/metrics": _metrics(target)} | _probes(target) | _api(target)
    made = Starlette(
        routes=[Route(path, call) for path, call in answers.items()],
        exception_handlers={HTTPException: _on_refusal, Exception: _on_defect},
    )
    # It would send people to whatever host they say they have asked.
    made.router.redirect_slashes = False
    return made


def _metrics(target: Target) -> _Answer:
    async def metrics(request: Request) -> Response:
        try:
            body, kind = await target.metrics(request.headers.get("accept", ""))
        except ShmtelError as error:
            return PlainTextResponse(f"{error}\n", 503)
        except asyncio.CancelledError:  # the server would log it as a defect of ours
            return PlainTextResponse(f"{_ENDS}\n", 503)
        return Response(body, media_type=None, headers={"content-type": kind})

    return metrics


def _probes(target: Target) -> dict[str, _Answer]:
    async def livez(request: Request) -> Response:
        return _told(request, target.liveness())

    async def readyz(request: Request) -> Response:
        return _told(request, await target.readiness())

    return {"/livez": livez, "/readyz": readyz}


def _told(request: Request, readiness: Readiness) -> Response:
    text = readiness.text(is_verbose="verbose" in request.query_params)
    return PlainTextResponse(text, 200 if readiness.is_ready else 503)


def _api(target: Target) -> dict[str, _Answer]:
    resources = target.resources()
    if not resources:
        return {}
    few = FewApart(ANSWERS_MAX)
    answers = {
        f"{API}/{resource.name}": _resource(resource, few) for resource in resources
    }
    return {API: _index(resources), **answers}


def _index(resources: Sequence[Resource]) -> _Answer:
    document = {
        "schema": INDEX_SCHEMA,
        "resources": [
            {
                "path": f"{API}/{resource.name}",
                "text": resource.text,
                "parameters": resource.parameters(),
            }
            for resource in resources
        ],
    }

    async def index(request: Request) -> Response:
        return _document(request, document)

    return index


def _resource(resource: Resource, few: FewApart) -> _Answer:
    async def answer(request: Request) -> Response:
        try:
            query = parse_query(resource, request.query_params.multi_items())
            return await few.run(lambda: _document(request, resource.read(query)))
        except BadQueryError as error:
            return _problem(HTTPStatus.BAD_REQUEST, str(error))
        except BusyError as error:
            return _unavailable(str(error))
        except asyncio.CancelledError:
            return _unavailable(_ENDS)

    return answer


def _document(request: Request, document: Mapping[str, Any]) -> Response:
    """Answer with a document, unless the asker has the same one already."""
    body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"etag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body + b"\n", media_type="application/json", headers=headers)


async def _on_refusal(request: Request, error: Exception) -> Response:
    """Say in the form of the place that there is no such page, or method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if not request.url.path.startswith("/api"):
        return PlainTextResponse(f"{status.phrase}\n", status, error.headers)
    known = f"ask {API} for what there is" if status == HTTPStatus.NOT_FOUND else ""
    return _problem(status, known or f"not {request.method} here", error.headers)


async def _on_defect(request: Request, _error: Exception) -> Response:
    """Say no more than that it is one; the log has it."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    if not request.url.path.startswith("/api"):
        return PlainTextResponse(f"{status.phrase}\n", status)
    return _problem(status, "a defect in this program; its log says which")


def _unavailable(detail: str) -> Response:
    headers = {"retry-after": str(_RETRY_S)}
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers)


def _problem(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    return Response(
        json.dumps(problem) + "\n",
        status,
        headers,
        media_type="application/problem+json",
    )
