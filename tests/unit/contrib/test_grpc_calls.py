"""Calls of a synchronous channel to a synchronous server, as events of both."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
import pytest

from shmtel.contrib.grpc import client_interceptors
from shmtel.testing import Capture, capture
from support.grpc_events import (
    BAD,
    CANCELLED,
    GOOD,
    OPENED,
    RPC_CANCELLED,
    RPC_ERROR,
)
from support.grpc_shop import (
    KINDS,
    SERVICE,
    WORDS,
    Line,
    path_of,
    requests_of,
    running,
    told,
)
from support.processes import wait_until

TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line, for all tests here."""
    with running(tmp_path_factory.mktemp("grpc")) as line:
        yield line


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_goes_well(line: Line, kind: str) -> None:
    """Both sides tell its start, its messages and its end."""
    with capture() as captured:
        assert line.ask(kind, *WORDS)
        assert told(captured, "client", kind) == GOOD[kind][0]
        assert told(captured, "server", kind) == GOOD[kind][1]


@pytest.mark.parametrize("word", BAD, ids=lambda word: word.decode())
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_fails(line: Line, kind: str, word: bytes) -> None:
    """Each side ends it once, with the status; the server knows what was raised."""
    with capture() as captured:
        with pytest.raises(grpc.RpcError) as raised:
            line.ask(kind, word)
        for side, end in zip(("client", "server"), BAD[word], strict=True):
            lines = told(captured, side, kind)
            assert lines[-1] == end
            status = end.split()[1]
            closed = [line for line in lines if line.startswith("closed")]
            assert [line.split()[1] for line in closed] == [status] * (
                kind != "unary_unary"
            )
    assert raised.value.code().name == end.split()[1]


def test_error_of_a_handler_is_told_with_its_message(line: Line) -> None:
    """On the client it is the details of the status."""
    with capture() as captured:
        with pytest.raises(grpc.RpcError):
            line.ask("unary_unary", b"raise")
        told(captured, "server", "unary_unary")
    messages = {
        event.metadata["side"]: event.metadata["error_message"]
        for event in captured.matching("grpc.call.exception")
    }
    assert messages == {
        "client": "Exception calling application: no such order",
        "server": "no such order",
    }


# -- ends that the client makes -------------------------------------------------------


def _cancel(line: Line, kind: str) -> Any:
    method = line.method(kind)
    call = method.future if kind.endswith("unary") else method
    made = call(requests_of(kind, b"wait"))
    wait_until(lambda: line.shop.seen, TIMEOUT_S)
    assert made.cancel()
    return made


def _drop(line: Line, kind: str) -> None:
    method = line.method(kind)
    call = method.future if kind.endswith("unary") else method
    made = call(requests_of(kind, b"wait"))
    wait_until(lambda: line.shop.seen, TIMEOUT_S)
    del made


def _be_late(line: Line, kind: str) -> None:
    with pytest.raises(grpc.RpcError):
        list(line.method(kind)(requests_of(kind, b"wait"), timeout=0.05))


ENDS = {_cancel: "CANCELLED", _drop: "CANCELLED", _be_late: "DEADLINE_EXCEEDED"}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_the_client_ends(line: Line, kind: str, end: Any) -> None:
    """Its end is told at once; the handler's when it notices."""
    line.shop.seen.clear()
    with capture() as captured:
        kept = end(line, kind)
        lines = told(captured, "client", kind)
        error = RPC_CANCELLED if ENDS[end] == "CANCELLED" else RPC_ERROR
        assert lines[-1] == f"exception {ENDS[end]} {error}"
        status = told(captured, "server", kind)[-1].split()[1]
        assert status in ("CANCELLED", "DEADLINE_EXCEEDED")
    del kept


def test_a_channel_that_is_closed(line: Line) -> None:
    """What is under way ends with it."""
    line.shop.seen.clear()
    bare = grpc.insecure_channel(line.address)
    channel = grpc.intercept_channel(bare, *client_interceptors())
    with capture() as captured:
        future = channel.unary_unary(path_of("unary_unary")).future(b"wait")
        wait_until(lambda: line.shop.seen, TIMEOUT_S)
        bare.close()
        lines = told(captured, "client", "unary_unary")
        assert lines[-1] == CANCELLED
        told(captured, "server", "unary_unary")
    assert future.code() is grpc.StatusCode.CANCELLED
    with capture() as captured, pytest.raises(ValueError, match="closed channel"):
        channel.unary_unary(path_of("unary_unary"))(b"ok")
    assert told(captured, "client", "unary_unary")[-1] == "exception UNKNOWN ValueError"


def test_responses_that_are_read_in_part(line: Line) -> None:
    """Those that were read are counted; the rest was not wanted."""
    with capture() as captured:
        responses = line.method("unary_stream")(b"ok")
        assert next(responses) == b"ok"
        del responses
        lines = told(captured, "client", "unary_stream")
        told(captured, "server", "unary_stream")
    assert lines[-2:] == ["closed CANCELLED 1/1", CANCELLED]


def test_a_stream_of_one_thread(line: Line) -> None:
    """Where no thread of the channel's calls back, the drop itself ends the call."""
    option = (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)
    with grpc.insecure_channel(line.address, options=[option]) as bare:
        method = grpc.intercept_channel(bare, *client_interceptors()).unary_stream(
            path_of("unary_stream")
        )
        with capture() as captured:
            assert len(list(method(b"ok"))) == 3
            lines = told(captured, "client", "unary_stream")
            told(captured, "server", "unary_stream")
        assert lines == GOOD["unary_stream"][0]
        with capture() as captured:
            responses = method(b"ok")
            next(responses)
            del responses
            lines = told(captured, "client", "unary_stream")
            told(captured, "server", "unary_stream")
        assert lines[-1] == CANCELLED


def test_a_method_that_nothing_handles(line: Line) -> None:
    """The server tells it too, though no handler has run."""
    with capture() as captured:
        with pytest.raises(grpc.RpcError):
            line.channel.unary_unary(f"/{SERVICE}/{'x' * 1000}")(b"ok")
        ends = {
            event.metadata["kind"]: event.metadata
            for event in captured.matching("grpc.call.exception")
        }
    made, unhandled = ends["unary_unary"], ends["unhandled"]
    assert made["status"] == unhandled["status"] == "UNIMPLEMENTED"
    assert len(str(made["method"])) == 256
    # A client may ask for any, and none gets a series of metrics of its own.
    assert (unhandled["service"], unhandled["method"]) == ("other", "other")
    assert f"nothing handles {SERVICE}/xxx" in str(unhandled["error_message"])


def test_messages_may_be_left_out(line: Line) -> None:
    """They are counted all the same."""
    bare = grpc.insecure_channel(line.address)
    quiet = grpc.intercept_channel(bare, *client_interceptors(messages=False))
    with bare, capture() as captured:
        responses = quiet.unary_stream(path_of("unary_stream"))(b"ok")
        assert len(list(responses)) == 3
        lines = told(captured, "client", "unary_stream")
        told(captured, "server", "unary_stream")
    assert lines == [*OPENED, "closed OK 1/3", "stop OK"]


def _one_of_many(line: Line, number: int) -> None:
    kind = KINDS[number % len(KINDS)]
    word = (b"ok", b"raise", b"set")[number % 3]
    method = line.method(kind)
    call = method.future if kind.endswith("unary") else method
    made = call(requests_of(kind, word, *WORDS[1:]))
    if number % 5 == 0:
        made.cancel()
    elif number % 5 == 1:
        del made
    else:
        with suppress(grpc.RpcError):
            list(made) if kind.endswith("stream") else made.result()


def test_each_of_many_calls_ends_once(line: Line) -> None:
    """Whichever way, from threads that make them, cancel them and drop them."""
    with capture() as captured:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(_one_of_many, line), range(240)))
        wait_until(lambda: _are_over(captured), TIMEOUT_S)
    starts, ends = _started(captured), _ended(captured)
    assert sorted(starts) == sorted(ends)
    assert len(starts) == len(set(starts)) >= 240
    told_one_by_one = Counter(
        (event.parent_id, event.metadata["direction"])
        for event in captured.matching("grpc.stream.message")
    )
    closed = captured.matching("grpc.stream.closed")
    assert len(captured.matching("grpc.stream.opened")) == len(closed)
    for event in closed:
        for way in _streams_of(event.metadata):
            counted = event.measurements[way]
            told = told_one_by_one[event.parent_id, way]
            is_exact = event.metadata["status"] == "OK"
            assert told == counted if is_exact else told <= counted


def _streams_of(metadata: dict[str, Any]) -> list[str]:
    """Return the directions in which a call may have many messages."""
    ways = ["sent", "received"]  # requests, then responses
    if metadata["side"] == "server":
        ways.reverse()
    words = metadata["kind"].split("_")
    return [way for way, word in zip(ways, words, strict=True) if word == "stream"]


def _started(captured: Capture) -> list[Any]:
    return [event.span_id for event in captured.matching("grpc.call.start")]


def _ended(captured: Capture) -> list[Any]:
    stops = captured.matching("grpc.call.stop")
    failures = captured.matching("grpc.call.exception")
    return [event.span_id for event in [*stops, *failures]]


def _are_over(captured: Capture) -> bool:
    """Say whether as many calls have ended as begun, also on the server."""
    return len(_started(captured)) == len(_ended(captured))
