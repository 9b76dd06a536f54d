"""Headers in the classes of the standard library and of gRPC, and odd uses of IDs."""

import asyncio
import contextvars
import email.message
import uuid
from wsgiref.headers import Headers

import pytest
from grpc.aio import Metadata

import shmtel
from shmtel import traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def message(*pairs: tuple[str, str]) -> email.message.Message:
    """Make headers as http.server and http.client give them."""
    headers = email.message.Message()
    for name, value in pairs:
        headers[name] = value
    return headers


ARRIVED = (("X-Correlation-ID", "order-4711"), ("K1", "v"))
OF_SOMEBODY = [
    message(*ARRIVED),
    Headers(list(ARRIVED)),
    Metadata(*((name.lower(), value) for name, value in ARRIVED)),
]


@pytest.mark.parametrize("headers", OF_SOMEBODY, ids=type)
def test_headers_that_are_no_mapping(headers: object) -> None:
    """Each class tells its pairs in a way of its own."""
    with shmtel.correlation(headers=headers) as found:  # type: ignore[arg-type]
        assert found == "order-4711"


@pytest.mark.parametrize("headers", [*OF_SOMEBODY, message(("K1", "x"))], ids=range(4))
def test_none_of_the_given_headers_is_lost(headers: object) -> None:
    """A call goes out with the headers that its caller gave."""
    with shmtel.correlation(TRACE):
        found = shmtel.outgoing_metadata(headers)  # type: ignore[arg-type]
    names = [name.lower() for name, _ in found]
    assert sorted(names) == ["k1", "traceparent", "x-correlation-id"]


@pytest.mark.parametrize(
    "value", [["order-4711"], ("a", "b"), 17, {"k": "v"}, object()]
)
def test_value_that_is_no_header_is_no_id(value: object) -> None:
    """The text of a list is nobody's ID."""
    with shmtel.correlation(headers={"x-correlation-id": value}) as found:
        assert shmtel.trace_id_of(found) == found


@pytest.mark.parametrize("spelling", [" order", "order ", " ", "größe"])
def test_id_that_a_header_would_change_travels_as_its_trace_id(spelling: str) -> None:
    """Blanks at its ends are not the value's, and some clients refuse them."""
    with shmtel.correlation(spelling):
        headers = dict(shmtel.outgoing_metadata())
    assert set(headers) == {"traceparent"}
    with shmtel.correlation(headers=headers) as arrived:
        assert arrived == traceparent.trace_id_on_the_wire(spelling)


def test_one_block_inside_itself() -> None:
    """The inner end leaves the outer one in force."""
    block = shmtel.correlation("again")
    with block:
        with block:
            pass
        assert shmtel.get_correlation_id() == "again"
    assert shmtel.get_correlation_id() is None


def test_one_block_in_several_tasks() -> None:
    """Each task leaves what it has entered, in whatever order."""
    block = shmtel.correlation("shared", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")

    async def task(mine: asyncio.Event, next_one: asyncio.Event) -> str | None:
        with block:
            next_one.set()
            await mine.wait()
        return shmtel.get_correlation_id("none")

    async def main() -> list[str | None]:
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(task(first, second), task(second, first))

    assert asyncio.run(main()) == ["none", "none"]


def test_reset_in_another_context_changes_nothing() -> None:
    """A framework may end a request in another thread than it began; no error."""
    token = contextvars.Context().run(shmtel.set_correlation_id, "there")
    with shmtel.correlation("here"):
        shmtel.reset_correlation_id(token)
        assert shmtel.get_correlation_id() == "here"


def test_reset_twice_changes_nothing() -> None:
    """What has been put back stays."""
    token = shmtel.set_correlation_id("once")
    shmtel.reset_correlation_id(token)
    shmtel.reset_correlation_id(token)
    assert shmtel.get_correlation_id() is None


def test_uuid_object_is_its_text() -> None:
    """An ID that is set as an object is the text that events carry."""
    token = shmtel.set_correlation_id(uuid.UUID(TRACE))  # type: ignore[arg-type]
    found = shmtel.get_correlation_id()
    shmtel.reset_correlation_id(token)
    assert found == str(uuid.UUID(TRACE))
    assert shmtel.trace_id_of(found) == TRACE


@pytest.mark.parametrize("thing", [None, 17, b"x" * 32, ["a"] * 32, uuid.UUID(TRACE)])
def test_what_is_no_text_is_no_trace_id(thing: object) -> None:
    """The question may be asked of anything."""
    assert shmtel.trace_id_of(thing) is None  # type: ignore[arg-type]
