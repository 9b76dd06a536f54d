"""Correlation IDs: in a context, in what arrives, and in what goes out."""

import asyncio
import contextvars
import subprocess
import sys
from types import MappingProxyType
from typing import Any

import pytest

import shmtel
from shmtel import traceparent
from shmtel.traceparent import TraceParent
from support.own_ring import OwnRing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{PARENT}-01"
UUID = "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736"


def outgoing() -> dict[str, str]:
    """Return what goes out from here."""
    return dict(shmtel.outgoing_metadata())


def test_new_id_is_a_trace_id_and_is_not_set() -> None:
    """It is returned, each time another one."""
    found = {shmtel.new_correlation_id() for _ in range(100)}
    assert len(found) == 100
    assert all(shmtel.trace_id_of(text) == text for text in found)
    assert shmtel.get_correlation_id() is None


def test_default_of_get() -> None:
    """What to return where there is none may be said, in either way."""
    assert shmtel.get_correlation_id("-") == "-"
    assert shmtel.get_correlation_id(default="-") == "-"
    with shmtel.correlation("id"):
        assert shmtel.get_correlation_id("-") == "id"


def test_reset_takes_what_set_returned() -> None:
    """Nested sets are undone in turn; nothing is nothing to undo."""
    first = shmtel.set_correlation_id("one")
    second = shmtel.set_correlation_id("two")
    shmtel.reset_correlation_id(second)
    assert shmtel.get_correlation_id() == "one"
    shmtel.reset_correlation_id(first)
    shmtel.reset_correlation_id(None)
    assert shmtel.get_correlation_id() is None


def test_correlation_is_in_force_inside(ring: OwnRing) -> None:
    """Events take it, inner ones win, and the former one is back afterwards."""
    with shmtel.correlation("outer") as found:
        assert found == "outer"
        with shmtel.correlation("inner"):
            shmtel.emit("inside", {})
        shmtel.emit("between", {})
    shmtel.emit("after", {})
    ids = [event.correlation_id for event in ring.events()]
    assert ids == ["inner", "outer", None]


def test_correlation_without_an_id_keeps_or_makes_one() -> None:
    """The one in force stays; where there is none a new one is made."""
    with shmtel.correlation() as made:
        assert shmtel.trace_id_of(made) == made
        with shmtel.correlation() as kept:
            assert kept == made


def test_correlation_inside_a_span_with_an_id(ring: OwnRing) -> None:
    """What is set later holds over the span's own ID; the parent stays."""
    with shmtel.span("job", None, "job-id") as job, shmtel.correlation("other"):
        shmtel.emit("inside", {})
    events = {event.name: event for event in ring.events()}
    assert events["inside"].correlation_id == "other"
    assert events["inside"].parent_id == job.span_id
    assert events["job.stop"].correlation_id == "job-id"


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": HEADER},
        {"Traceparent": HEADER},
        [("traceparent", HEADER)],
        [(b"traceparent", HEADER.encode())],
        (("other", b"\xff"), ("TRACEPARENT", HEADER)),
        MappingProxyType({"traceparent": HEADER}),
        iter([("traceparent", HEADER)]),
    ],
    ids=range(7),
)
def test_headers_of_every_kind(headers: Any) -> None:
    """Mappings and pairs, of text and of bytes, in any case."""
    with shmtel.correlation(headers=headers) as found:
        assert found == TRACE


def test_remote_parent_is_the_parent_of_what_follows(ring: OwnRing) -> None:
    """Spans and events inside continue the trace, and carry its ID."""
    with shmtel.correlation(traceparent=HEADER):
        assert shmtel.current_span() is None
        shmtel.emit("plain", {})
        with shmtel.span("request"):
            with shmtel.span("inner"):
                pass
            shmtel.emit("inside", {})
    shmtel.emit("after", {})
    events = {event.name: event for event in ring.events()}
    request = events["request.start"].span_id
    assert events["plain"].parent_id == PARENT
    assert events["request.start"].parent_id == PARENT
    assert events["inner.start"].parent_id == request
    assert events["inside"].parent_id == request
    assert events["after"].span is None
    assert {event.correlation_id for event in events.values()} == {TRACE, None}
    assert events["after"].correlation_id is None


def test_spelling_of_an_id_survives(ring: OwnRing) -> None:
    """The own header wins where it means the trace that traceparent means."""
    headers = {"traceparent": HEADER, "x-correlation-id": UUID}
    with shmtel.correlation(headers=headers) as found:
        assert found == UUID
        assert shmtel.trace_id_of(found) == TRACE


def test_traceparent_wins_over_an_id_of_something_else() -> None:
    """An ID that another program has set is not the trace's."""
    headers = {"traceparent": HEADER, "x-correlation-id": "request-9"}
    with shmtel.correlation(headers=headers) as found:
        assert found == TRACE


def test_explicit_id_wins_over_what_arrived(ring: OwnRing) -> None:
    """Who names an ID gets it; the parent that arrived is still the parent."""
    with shmtel.correlation("mine", headers={"traceparent": HEADER}):
        shmtel.emit("e", {})
    (event,) = ring.events()
    assert (event.correlation_id, event.parent_id) == ("mine", PARENT)


@pytest.mark.parametrize("name", ["x-request-id", "X-Snakepit-Correlation-Id"])
def test_other_names_of_the_header(name: str) -> None:
    """Other names are taken where there is none of our own."""
    with shmtel.correlation(headers={name: "theirs"}) as found:
        assert found == "theirs"
    headers = {name: "theirs", shmtel.CORRELATION_HEADER: "ours"}
    with shmtel.correlation(headers=headers) as found:
        assert found == "ours"


class Hostile:
    """Raises whatever is done with it."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-correlation-id": "x" * 129},
        {"x-correlation-id": "é" * 65},
        {"x-correlation-id": "a\nb"},
        {"x-correlation-id": "\x00"},
        {"x-correlation-id": ""},
        {"x-correlation-id": "  "},
        {"x-correlation-id": None},
        {"x-correlation-id": Hostile()},
        {Hostile(): "x"},
        {"traceparent": HEADER.upper()},
        {"traceparent": b"\xff\xfe"},
        {"traceparent": "garbage" * 10_000},
        [("traceparent", HEADER), ("traceparent", HEADER)],
        [("one",)],
        ["text"],
        5,
        "text",
        b"bytes",
    ],
    ids=lambda headers: repr(headers)[:30] if isinstance(headers, dict) else None,
)
def test_what_arrives_malformed_is_ignored(ring: OwnRing, headers: Any) -> None:
    """A hostile request gets a new ID, and nothing raises."""
    with shmtel.correlation(headers=headers) as found:
        assert shmtel.trace_id_of(found) == found
        assert found != TRACE
        shmtel.emit("e", {})
    (event,) = ring.events()
    assert (event.correlation_id, event.span) == (found, None)


@pytest.mark.parametrize("wrong", ["x" * 129, "", "a\x07", Hostile()])
def test_id_that_is_none_is_passed_over(wrong: Any) -> None:
    """Also an explicit ID must be one."""
    with shmtel.correlation(wrong) as found:
        assert shmtel.trace_id_of(found) == found


def test_nothing_goes_out_without_an_id() -> None:
    """There is no trace to continue; what was given is returned as it was."""
    assert shmtel.outgoing_metadata() == []
    assert shmtel.outgoing_metadata([("k", "v")]) == [("k", "v")]
    assert shmtel.outgoing_metadata({"k": "v"}) == [("k", "v")]


def test_outgoing_names_the_current_span(ring: OwnRing) -> None:
    """The receiver's parent is the span that is open here."""
    with shmtel.correlation(UUID), shmtel.span("call") as call:
        found = outgoing()
    assert found == {
        "traceparent": f"00-{TRACE}-{call.span_id}-01",
        "x-correlation-id": UUID,
    }


def test_outgoing_without_a_span_has_a_parent_all_the_same() -> None:
    """The header has no word for none, so an id is made up."""
    with shmtel.correlation(TRACE):
        first, second = (traceparent.parse(outgoing()["traceparent"]) for _ in "ab")
    assert first is not None
    assert second is not None
    assert first.trace_id == second.trace_id == TRACE
    assert first.parent_id != second.parent_id


def test_outgoing_says_whether_the_span_was_kept(ring: OwnRing) -> None:
    """A span that was sampled out says so, and remains the parent."""
    ring.consumer.set_default_word(0xFFFFFFFE)
    with shmtel.correlation(TRACE), shmtel.span("call") as call:
        assert outgoing()["traceparent"] == f"00-{TRACE}-{call.span_id}-00"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_forwarded_parent_keeps_its_flag(flags: str) -> None:
    """Without a span of its own a process passes on what it got."""
    header = f"00-{TRACE}-{PARENT}-{flags}"
    with shmtel.correlation(traceparent=header):
        assert outgoing()["traceparent"] == header


def test_opaque_id_is_no_trace_id_for_the_user() -> None:
    """It travels as it is, beside a trace ID that all derive alike."""
    with shmtel.correlation("order-4711") as found:
        headers = outgoing()
        assert shmtel.trace_id_of(found) is None
    assert headers["x-correlation-id"] == "order-4711"
    parent = traceparent.parse(headers["traceparent"])
    assert parent is not None
    assert parent.trace_id == traceparent.trace_id_on_the_wire("order-4711")
    with shmtel.correlation(headers=headers) as arrived:
        assert arrived == "order-4711"


@pytest.mark.parametrize(
    "spelling", [TRACE, UUID, "order-4711", "with blank", "x" * 128]
)
def test_id_goes_over_the_wire_and_back(ring: OwnRing, spelling: str) -> None:
    """Whatever its kind, the next service has the same ID, and our span as parent."""
    with shmtel.correlation(spelling), shmtel.span("call") as call:
        metadata = shmtel.outgoing_metadata()
    with shmtel.correlation(headers=metadata) as arrived:
        shmtel.emit("arrived", {})
    assert arrived == spelling
    assert ring.events()[-1].parent_id == call.span_id


def test_id_beyond_ascii_travels_as_its_trace_id() -> None:
    """A header cannot carry it; what it is given there keeps the trace together."""
    with shmtel.correlation("größe"):
        headers = outgoing()
    assert set(headers) == {"traceparent"}
    with shmtel.correlation(headers=headers) as arrived:
        assert arrived == traceparent.trace_id_on_the_wire("größe")


def test_outgoing_replaces_what_was_forwarded() -> None:
    """Headers that arrived may be passed on; ours are there once."""
    arrived = [("Traceparent", "old"), ("X-Correlation-ID", "old"), ("k", b"v")]
    with shmtel.correlation(TRACE):
        found = shmtel.outgoing_metadata(arrived)
    assert found[0] == ("k", b"v")
    assert sorted(name for name, _ in found[1:]) == ["traceparent", "x-correlation-id"]


def test_tracestate_is_passed_on_with_its_trace() -> None:
    """Whoever continues the trace forwards it; another trace has nothing of it."""
    headers = [
        *(("traceparent", HEADER), ("tracestate", "a=1")),
        *(("tracestate", "b=2"), ("other", "x")),
    ]
    with shmtel.correlation(headers=headers):
        assert outgoing()["tracestate"] == "a=1,b=2"
        with shmtel.correlation("another"):
            assert "tracestate" not in outgoing()
    with shmtel.correlation(TRACE):
        assert "tracestate" not in outgoing()


@pytest.mark.parametrize("state", ["x" * 513, "a=\nb", "é=1", ""])
def test_unsound_tracestate_is_dropped(state: str) -> None:
    """What no header may hold is not forwarded."""
    with shmtel.correlation(headers={"traceparent": HEADER, "tracestate": state}):
        assert "tracestate" not in outgoing()


def test_correlation_may_end_in_another_context() -> None:
    """A generator that is closed elsewhere leaves that context alone."""
    block = shmtel.correlation("one")
    contextvars.Context().run(block.__enter__)
    with shmtel.correlation("two"):
        block.__exit__(None, None, None)
        assert shmtel.get_correlation_id() == "two"


def test_tasks_have_their_own_ids() -> None:
    """Concurrent requests do not see each other's."""

    async def request(name: str) -> str | None:
        with shmtel.correlation(name):
            await asyncio.sleep(0)
            return shmtel.get_correlation_id()

    async def main() -> list[str | None]:
        return await asyncio.gather(*(request(f"r{index}") for index in range(9)))

    assert asyncio.run(main()) == [f"r{index}" for index in range(9)]


def test_parent_of_a_remote_span_is_sampled_with_the_trace(ring: OwnRing) -> None:
    """The draw is the correlation ID's, whether or not there is a remote parent."""
    parent = TraceParent(TRACE, PARENT, True)
    for word in range(0, 1 << 32, 1 << 28):
        ring.consumer.set_default_word(word)
        with shmtel.correlation(traceparent=traceparent.render(parent)):
            shmtel.emit("with.parent", {})
        shmtel.emit("without", {}, None, TRACE)
    names = [event.name for event in ring.events()]
    assert names.count("with.parent") == names.count("without") > 0


def test_importing_shmtel_loads_none_of_it() -> None:
    """What not every worker uses is imported when it is asked for."""
    code = """
import sys, shmtel
heavy = {"typing", "asyncio", "logging", "concurrent.futures", "inspect", "hashlib"}
bare = set(BARE)
assert not (heavy - bare) & set(sys.modules), heavy & set(sys.modules)
assert set(shmtel.__all__) <= set(dir(shmtel))
for name in shmtel.__all__:
    getattr(shmtel, name)
try:
    shmtel.nothing
except AttributeError:
    pass
else:
    raise SystemExit(1)
"""
    bare = "import sys; print(sorted(sys.modules))"
    command = [sys.executable, "-c"]
    loaded = subprocess.check_output([*command, bare], cwd="/", text=True)
    subprocess.run([*command, code.replace("BARE", loaded)], cwd="/", check=True)
