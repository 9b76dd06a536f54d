"""Where calls come from: correlation IDs and spans, over the wire and in threads."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import shmtel
from shmtel.contrib.grpc import client_interceptors
from shmtel.testing import Capture, capture
from support.grpc_events import CANCELLED
from support.grpc_shop import KINDS, SERVICE, Line, path_of, running, told

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line, for all tests here."""
    with running(tmp_path_factory.mktemp("grpc")) as line:
        yield line


def _ask(line: Line, kind: str, channel: grpc.Channel, **options: Any) -> Capture:
    line.shop.seen.clear()
    with capture() as captured:
        method = getattr(channel, kind)(path_of(kind))
        given = method(iter([b"1"]) if "stream_" in kind else b"1", **options)
        if kind.endswith("stream"):
            list(given)
        told(captured, "server", kind)
    return captured


def _starts(captured: Capture) -> dict[str, Any]:
    starts = captured.matching("grpc.call.start")
    return {event.metadata["side"]: event for event in starts}


@pytest.mark.parametrize("kind", KINDS)
def test_handler_runs_inside_the_call_of_its_client(line: Line, kind: str) -> None:
    """The chain of spans goes from the caller through both sides to the handler."""
    with capture() as outer, shmtel.correlation("order-4711"), shmtel.span("job"):
        captured = _ask(line, kind, line.channel)
        assert shmtel.current_span().operation == "job"
    starts = _starts(captured)
    assert starts["client"].parent_id == outer.events[0].span_id
    assert starts["server"].parent_id == starts["client"].span_id
    assert set(line.shop.seen) == {("order-4711", starts["server"].span_id)}
    assert {event.correlation_id for event in captured.events} == {"order-4711"}
    inner = captured.matching("grpc.stream.*")
    spans = {side: event.span_id for side, event in starts.items()}
    assert all(event.parent_id == spans[event.metadata["side"]] for event in inner)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_in_the_threads(line: Line, kind: str) -> None:
    """A call without headers is not mistaken for part of the one before."""
    with shmtel.correlation("order-4711"):
        for _ in range(4):  # as many as the pool has threads
            _ask(line, kind, line.channel)
    captured = _ask(line, kind, line.bare)
    assert _starts(captured)["server"].parent_id is None
    (seen,) = {correlation_id for correlation_id, _ in line.shop.seen}
    assert seen != "order-4711"
    assert len(seen or "") == 32  # a new one


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "00-junk")],
        [("traceparent", f"00-{TRACE}-{'0' * 16}-01")],
        [("x-correlation-id", "x" * 500)],
        [("x-correlation-id", " ")],
        [("tracestate", "x" * 600), ("x-other-bin", b"\x00\xff")],
    ],
)
def test_hostile_headers_are_passed_over(line: Line, headers: Any) -> None:
    """The call goes on as if there were none."""
    captured = _ask(line, "unary_unary", line.bare, metadata=headers)
    assert _starts(captured)["server"].parent_id is None
    assert len(line.shop.seen[0][0] or "") == 32


def test_headers_of_others_are_taken(line: Line) -> None:
    """A parent that arrives is the parent of the call."""
    headers = [("traceparent", f"00-{TRACE}-{PARENT}-01")]
    captured = _ask(line, "stream_stream", line.bare, metadata=headers)
    start = _starts(captured)["server"]
    assert (start.correlation_id, start.parent_id) == (TRACE, PARENT)


def test_headers_of_the_application_stay(line: Line) -> None:
    """Who sends a traceparent of its own, an instrumentation say, has its reasons."""
    headers = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("other", "x"))
    with shmtel.correlation("order-4711"):
        captured = _ask(line, "unary_unary", line.channel, metadata=headers)
    assert _starts(captured)["server"].parent_id == PARENT


def test_without_a_correlation_id_nothing_is_sent(line: Line) -> None:
    """The server then begins one of its own."""
    captured = _ask(line, "unary_unary", line.channel)
    starts = _starts(captured)
    assert starts["client"].correlation_id is None
    assert starts["server"].parent_id is None


def test_requests_are_made_in_the_call(line: Line) -> None:
    """The thread of gRPC that asks for them knows whose they are."""
    seen = []

    def requests() -> Iterator[bytes]:
        for number in range(2):
            span = shmtel.current_span()
            seen.append((shmtel.get_correlation_id(), span and span.span_id))
            yield b"%d" % number
        assert threading.current_thread() is not threading.main_thread()

    with capture() as captured, shmtel.correlation("order-4711"):
        line.method("stream_unary")(requests())
        told(captured, "server", "stream_unary")
    assert set(seen) == {("order-4711", _starts(captured)["client"].span_id)}


def test_last_work_of_a_handler_is_done_in_the_call(tmp_path: Any) -> None:
    """What a generator does when its client has gone belongs to the call."""
    seen = []
    is_done = threading.Event()

    def count(request: bytes, context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield request
        finally:
            seen.append(shmtel.get_correlation_id())
            is_done.set()

    with running(tmp_path) as line:
        handler = grpc.unary_stream_rpc_method_handler(count)
        line.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("shop.Count", {"count": handler}),)
        )
        with capture() as captured, shmtel.correlation("order-4711"):
            responses = line.channel.unary_stream("/shop.Count/count")(b"x")
            next(responses)
            responses.cancel()
            assert is_done.wait(20)
            lines = told(captured, "server", "count")
    assert seen == ["order-4711"]
    assert lines[-1] == CANCELLED


def test_details_of_another_interceptor_are_kept(line: Line) -> None:
    """What it has changed reaches gRPC, also in a class of its own."""

    class Details(grpc.ClientCallDetails):
        method = path_of("unary_unary")
        timeout = 20.0
        metadata = (("x-correlation-id", "from-details"),)
        credentials = None

    class Other(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, _: Any, request: Any) -> Any:
            details = Details()
            details.metadata = self.metadata
            return continuation(details, request)

        metadata: Any = None

    other = Other()
    channel = grpc.intercept_channel(line.bare, other, *client_interceptors())
    with capture(), shmtel.correlation("order-4711"):
        for other.metadata in (None, (), (("a", "b"),)):
            line.shop.seen.clear()
            channel.unary_unary(f"/{SERVICE}/none")(b"1")
            assert line.shop.seen[0][0] == "order-4711"
