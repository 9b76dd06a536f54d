"""A web application of a few milliseconds, for bench_application.py.

A request parses, sorts, sums and renders some records in ten steps. Where the
application is instrumented, each step is a span with three attributes: TELEMETRY
is `none`, `shmtel` (on or off by its own variable) or `opentelemetry`.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

_STEPS = 10
_RECORDS = json.dumps(
    [
        {"id": n, "name": f"item {n * 7919 % 97}", "price": n * 31 % 89}
        for n in range(40)
    ]
)


def _step(number: int) -> str:
    """Do a tenth of the work."""
    records = json.loads(_RECORDS)
    records.sort(key=lambda record: (record["name"], record["price"]))
    total = sum(record["price"] for record in records)
    return f"{number}: {total} " + json.dumps(records[:10])


def _plain() -> list[str]:
    return [_step(number) for number in range(_STEPS)]


def _with_shmtel() -> Callable[[], list[str]]:
    from shmtel import span

    def handle() -> list[str]:
        parts = []
        for number in range(_STEPS):
            attributes = {"tool": "render", "model": "list", "step": number}
            with span("tool.execution", attributes):
                parts.append(_step(number))
        return parts

    return handle


def _with_opentelemetry() -> Callable[[], list[str]]:
    """Trace as the SDK's documentation says: set up in the worker, after the fork."""
    from rivals.otel_spans import tracing

    start = tracing(os.environ["OTLP_ADDRESS"]).start_as_current_span

    def handle() -> list[str]:
        parts = []
        for number in range(_STEPS):
            attributes = {"tool": "render", "model": "list", "step": number}
            with start("tool.execution", attributes=attributes):
                parts.append(_step(number))
        return parts

    return handle


_handlers: dict[str, Callable[[], Callable[[], list[str]]]] = {
    "none": lambda: _plain,
    "shmtel": _with_shmtel,
    "opentelemetry": _with_opentelemetry,
}
_handle = _handlers[os.environ["TELEMETRY"]]()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request."""
    body = "\n".join(_handle()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
