"""A call is what it would be without interceptors, to its client and its server."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from shmtel.contrib.grpc import client_interceptors, server_interceptors
from shmtel.testing import capture
from support.grpc_events import CANCELLED
from support.grpc_shop import (
    KINDS,
    PATIENCE_S,
    Broken,
    Line,
    path_of,
    requests_of,
    running,
    told,
)
from support.processes import wait_until


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line, for all tests here."""
    with running(tmp_path_factory.mktemp("grpc")) as line:
        yield line


def _as_seen(channel: grpc.Channel, kind: str, word: bytes) -> list[Any]:
    """Return all that a client can learn of a call."""
    method = getattr(channel, kind)(path_of(kind))
    call = method.future if kind.endswith("unary") else method
    made = call(requests_of(kind, word), timeout=PATIENCE_S)
    seen: list[Any] = []
    done: list[Any] = []
    made.add_done_callback(done.append)
    try:
        seen.append(list(made) if kind.endswith("stream") else made.result())
    except grpc.RpcError as error:
        seen += [type(error), error.code(), error.details()]  # type: ignore[attr-defined]
    wait_until(lambda: done, PATIENCE_S)
    seen += [done[0] is made, made.code(), made.details(), made.trailing_metadata()]
    seen += [made.initial_metadata(), made.done(), made.cancelled(), made.cancel()]
    seen += [made.running(), made.is_active(), made.add_callback(lambda: None)]
    seen += [isinstance(made, kind) for kind in (grpc.Call, grpc.Future)]
    seen.append(made.debug_error_string().partition("{")[0])
    return seen


@pytest.mark.parametrize("word", [b"ok", b"raise", b"abort", b"set"])
@pytest.mark.parametrize("kind", KINDS)
def test_client_sees_the_same(line: Line, kind: str, word: bytes) -> None:
    """Responses, status, metadata and callbacks, whichever way a call ends."""
    with capture() as captured:
        assert _as_seen(line.channel, kind, word) == _as_seen(line.bare, kind, word)
        told(captured, "client", kind)


def test_unary_calls_raise_the_same(line: Line) -> None:
    """The exception is gRPC's own, and so is the call beside a response."""
    for channel in (line.bare, line.channel):
        method = channel.unary_unary(path_of("unary_unary"))
        with pytest.raises(grpc.RpcError) as raised:
            method(b"abort")
        assert type(raised.value).__name__ == "_InactiveRpcError"
        response, call = method.with_call(b"ok")
        assert (response, call.code()) == (b"ok", grpc.StatusCode.OK)


def _drop(make: Callable[[], Any]) -> None:
    made = make()
    known = weakref.ref(made)
    del made
    assert known() is None


def test_calls_are_not_kept_alive(line: Line) -> None:
    """Who drops a call frees it, without the garbage collector."""
    gc.disable()
    try:
        with capture() as captured:
            unary = line.method("unary_unary").future
            _drop(lambda: unary(b"wait"))
            _drop(lambda: line.method("unary_stream")(b"wait"))
            told(captured, "client", "unary_unary")
            told(captured, "client", "unary_stream")
    finally:
        gc.enable()


def test_requests_are_asked_for_as_they_are_sent(line: Line) -> None:
    """No sooner than gRPC asks, and what they raise ends the call as ever."""
    asked = []

    def requests() -> Iterator[bytes]:
        for number in range(2):
            asked.append(number)
            yield b"ok"
        raise Broken

    for channel in (line.bare, line.channel):
        asked.clear()
        with pytest.raises(grpc.RpcError) as raised:
            channel.stream_unary(path_of("stream_unary"))(requests())
        assert raised.value.details() == "Exception iterating requests!"  # type: ignore[attr-defined]
        assert asked == [0, 1]


class _Generating(grpc.UnaryStreamClientInterceptor):
    """An interceptor of another library, that gives back a mere generator."""

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        yield from continuation(client_call_details, request)


@pytest.mark.parametrize("is_outer", [False, True])
def test_other_interceptors_may_be_around(line: Line, *, is_outer: bool) -> None:
    """Whatever they give back, the call is told once."""
    ours = client_interceptors()
    both = [_Generating(), *ours] if is_outer else [*ours, _Generating()]
    channel = grpc.intercept_channel(line.bare, *both)
    with capture() as captured:
        responses = channel.unary_stream(path_of("unary_stream"))(b"ok")
        assert len(list(responses)) == 3
        assert told(captured, "client", "unary_stream")[-2:] == [
            "closed OK 1/3",
            "stop OK",
        ]
        responses = channel.unary_stream(path_of("unary_stream"))(b"ok")
        next(responses)
        captured.clear()
        del responses
        lines = told(captured, "client", "unary_stream")
    assert lines[-1] == CANCELLED


# -- the server -----------------------------------------------------------------------


def test_attributes_of_a_handler_are_kept(tmp_path: Path) -> None:
    """gRPC looks there for a pool of the handler's own, and for its way to answer."""
    names = []

    def pooled(request: bytes, context: Any) -> bytes:
        names.append(threading.current_thread().name)
        return request

    def pushing(request: bytes, context: Any, send: Callable[[Any], None]) -> None:
        send(request)
        send(None)

    pushing.experimental_non_blocking = True  # type: ignore[attr-defined]
    with ThreadPoolExecutor(1, "own") as pool, ThreadPoolExecutor(1) as others:
        pooled.experimental_thread_pool = pool  # type: ignore[attr-defined]
        handlers = {
            "pooled": grpc.unary_unary_rpc_method_handler(pooled),
            "pushing": grpc.unary_stream_rpc_method_handler(pushing),
        }
        server = grpc.server(others, interceptors=server_interceptors())
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("shop.Odd", handlers),)
        )
        server.add_insecure_port(f"unix:{tmp_path}/s")
        server.start()
        with grpc.insecure_channel(f"unix:{tmp_path}/s") as channel, capture() as seen:
            assert channel.unary_unary("/shop.Odd/pooled")(b"x") == b"x"
            assert list(channel.unary_stream("/shop.Odd/pushing")(b"x")) == [b"x"]
            lines = told(seen, "server", "pushing")
        server.stop(None).wait()
    assert names[0].startswith("own")
    assert lines[-2:] == ["closed OK 1/1", "stop OK"]
