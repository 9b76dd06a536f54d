"""The WSGI middleware."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import shmtel
from shmtel.contrib.wsgi import Middleware
from shmtel.testing import Capture, capture

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class FileWrapper:
    """What a server may send as a file."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)


def ask(app: Any, **variables: Any) -> tuple[list[bytes], Capture]:
    """Ask as a server does: read the body, and close it."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/orders/7", **variables}
    with capture() as captured:
        body = app(environ, lambda status, headers, error=None: None)
        parts = list(body)
        if hasattr(body, "close"):
            body.close()
    return parts, captured


def generating(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Answer step by step, with an event in each."""
    start_response("201 Created", [])
    for number in range(2):
        shmtel.emit("step", {"n": number})
        yield b"%d" % number


def test_span_lasts_until_the_body_is_read() -> None:
    """What the steps of a generator emit is in the span, with the caller's IDs."""
    parts, captured = ask(Middleware(generating), HTTP_TRACEPARENT=TRACEPARENT)
    assert parts == [b"0", b"1"]
    start, *steps, stop = captured.events
    assert captured.names() == ["python.call.start", "step", "step", "python.call.stop"]
    assert start.metadata == {"command": "GET", "path": "/orders/7"}
    assert stop.metadata == {"command": "GET", "path": "/orders/7", "status": 201}
    assert {event.correlation_id for event in captured.events} == {TRACE}
    assert start.parent_id == PARENT
    assert {step.parent_id for step in steps} == {start.span_id}


def test_nothing_is_left_in_the_server_s_context() -> None:
    """Neither ID nor span, also of a body that nobody closes; the next has its own."""
    app = Middleware(generating)
    with capture() as captured, shmtel.correlation("server"):
        for _ in range(2):
            next(iter(app({"REQUEST_METHOD": "GET"}, lambda status, headers: None)))
            assert shmtel.get_correlation_id() == "server"
            assert shmtel.current_span() is None
    ids = [event.correlation_id for event in captured.matching("*.start")]
    assert len(set(ids)) == 2
    assert "server" not in ids


@pytest.mark.parametrize("body", [[b"all"], (b"all",), FileWrapper([b"all"])])
def test_finished_body_is_handed_over_as_it_is(body: Any) -> None:
    """The server may take its length, or send it as a file."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
    with capture() as captured:
        assert Middleware(app)(environ, lambda status, headers: None) is body
    assert captured.names() == ["python.call.start", "python.call.stop"]


def raising(environ: Any, start_response: Any) -> Any:
    """Fail before there is an answer."""
    raise LookupError("no such order")


def raising_later(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Fail in the middle of an answer."""
    yield b"0"
    raise LookupError("no such order")


class RaisingInTheEnd:
    """Fails when it is closed."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"0"])

    def close(self) -> None:
        """Fail."""
        raise LookupError("no such order")


@pytest.mark.parametrize(
    "app", [raising, raising_later, lambda environ, start: RaisingInTheEnd()]
)
def test_exception_passes_and_ends_the_span(app: Any) -> None:
    """Wherever the application raises; the span has one end."""
    wrapped = Middleware(app)
    with capture() as captured, pytest.raises(LookupError):
        ask(wrapped)
    assert captured.names() == ["python.call.start", "python.call.exception"]
    assert captured.events[1].metadata["error_message"] == "no such order"


def test_body_is_closed_once_and_early() -> None:
    """A client that leaves ends the body, and the body cleans up inside the span."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        try:
            yield b"0"
            yield b"1"
        finally:
            shmtel.emit("cleaned", {})

    with capture() as captured:
        body: Any = Middleware(app)({"REQUEST_METHOD": "GET"}, lambda status, h: None)
        next(body)
        body.close()
        body.close()
    assert captured.names() == ["python.call.start", "cleaned", "python.call.stop"]


def test_command_is_the_user_s() -> None:
    """A route of few values instead of the method."""
    app = Middleware(generating, command=lambda environ: "order.show")
    _, captured = ask(app)
    assert captured.events[0].metadata["command"] == "order.show"


@pytest.mark.parametrize(
    ("method", "command"), [("PATCH", "PATCH"), ("GEX17", "other"), ("get", "other")]
)
def test_method_that_a_stranger_invents(method: str, command: str) -> None:
    """It gets no series of metrics of its own."""
    _, captured = ask(Middleware(generating), REQUEST_METHOD=method)
    assert captured.events[0].metadata["command"] == command


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/x\u00c3\u00a9", "/x\u00e9"),  # UTF-8, as WSGI hands it over
        ("/x\u00e9", "/x\ufffd"),
        ("/\u4f60", "/\u4f60"),
    ],
)
def test_path_is_text(path: str, told: str) -> None:
    """It is what the client has asked for, as under ASGI."""
    _, captured = ask(Middleware(generating), PATH_INFO=path)
    assert captured.events[0].metadata["path"] == told


def test_arguments_of_start_response_may_be_named() -> None:
    """What a server takes without us, it takes with us."""
    given: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("500 Oops", headers=[], exc_info=None)
        return []

    def start(status: str, headers: Any, exc_info: Any = None) -> None:
        given.update(status=status, headers=headers, exc_info=exc_info)

    with capture():
        Middleware(app)({"REQUEST_METHOD": "GET"}, start)
    assert given == {"status": "500 Oops", "headers": [], "exc_info": None}


def test_command_that_raises_costs_no_request() -> None:
    """The method takes its place, and one warning says why."""

    def command(environ: Any) -> str:
        raise RuntimeError("no route")

    app = Middleware(generating, command=command)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts, captured = ask(app)
        ask(app)
    assert parts == [b"0", b"1"]
    assert captured.events[0].metadata["command"] == "GET"
    assert len(caught) == 1
    assert "RuntimeError: no route" in str(caught[0].message)


def test_foreign_request_is_bounded() -> None:
    """Path, status line and headers are what a stranger sends."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("\u0661\u0662\u0663 odd", [])
        return []

    _, captured = ask(
        Middleware(app),
        PATH_INFO="/" * 5000,
        HTTP_TRACEPARENT="00-zz",
        HTTP_X_CORRELATION_ID="x" * 5000,
    )
    stop = captured.events[-1]
    assert len(str(stop.metadata["path"])) == 256
    assert stop.metadata["status"] is None
    assert len(str(stop.correlation_id)) == 32
    assert captured.dropped == {}
