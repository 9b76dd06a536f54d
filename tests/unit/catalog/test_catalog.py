"""What the catalog knows, and what a user's files add to it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from shmtel import catalog
from shmtel._ring import LAYOUT
from shmtel.catalog import EventEntry, Mode
from shmtel.catalog_entries import EMITTERS, LIMIT_RANGES, Limits
from shmtel.stamped import STAMPED
from shmtel.toml_source import NAME_BYTES_MAX

Write = Callable[..., Path]
MODEL = (
    "pool.initialized",
    "pool.status",
    "pool.queue.enqueued",
    "pool.queue.dequeued",
    "pool.queue.timeout",
    "pool.worker.spawn_started",
    "pool.worker.spawned",
    "pool.worker.spawn_failed",
    "pool.worker.terminated",
    "pool.worker.restarted",
    "session.created",
    "session.destroyed",
    "session.affinity.assigned",
    "session.affinity.broken",
    "python.call.start",
    "python.call.stop",
    "python.call.exception",
    "tool.execution.start",
    "tool.execution.stop",
    "tool.execution.exception",
    "tool.result_size",
    "python.memory.sampled",
    "python.cpu.sampled",
    "python.gc.completed",
    "python.error.occurred",
    "grpc.call.start",
    "grpc.call.stop",
    "grpc.call.exception",
    "grpc.stream.opened",
    "grpc.stream.message",
    "grpc.stream.closed",
    "grpc.connection.established",
    "grpc.connection.lost",
    "grpc.connection.reconnected",
)
UNITS = {"ns", "bytes", "1", "1/s", "percent"}


ADDED = {f"pool.worker.{end}" for end in ("ready", "booted", "exited")}


def entry(name: str, *paths: Path) -> EventEntry:
    """Return what the catalog says of an event that it knows."""
    found = catalog.load(paths).entry(name)
    assert found is not None
    return found


def test_the_events_of_the_model_are_there() -> None:
    """Its three layers are whole, with what servers know besides."""
    layers = {"infrastructure", "execution", "bridge"}
    events = catalog.load().events.values()
    known = {event.name for event in events if event.layer in layers}
    assert known == {*MODEL, *ADDED}


def test_what_is_said_of_an_event_is_complete() -> None:
    """A sentence, an emitter, and the way there if an application emits it."""
    known = catalog.load()
    for event in known.events.values():
        assert event.summary.endswith("."), event.name
        assert event.emitters, event.name
        assert set(event.measurements.values()) <= UNITS, event.name
        assert event.how or "application" not in event.emitters, event.name
        assert known.is_reserved(event.name), event.name


def test_the_event_of_the_benchmarks_is_wholly_known() -> None:
    """So that validation leaves it as it is."""
    event = entry("tool.execution.stop")
    assert dict(event.measurements) == {"duration": "ns", "bytes": "bytes"}
    assert {"tool", "model", "worker"} <= set(event.metadata)
    assert event.kind == "stop"


def test_an_exception_has_the_keys_of_every_exception() -> None:
    """What a span says of an exception is known of each span's."""
    for name in ("python.call.exception", "grpc.call.exception"):
        event = entry(name)
        assert {"outcome", "error_type", "error_message"} <= set(event.metadata)
        assert event.measurements["duration"] == "ns"
    assert "error_type" not in entry("python.call.stop").metadata


def test_what_the_hub_stamps_is_the_list_of_the_hub() -> None:
    """No event of the catalog has a key that the hub sets."""
    known = catalog.load()
    assert set(known.stamped) == STAMPED
    for event in known.events.values():
        assert not set(event.metadata) & STAMPED


def test_limits_are_within_those_of_a_ring() -> None:
    """What no worker can encode need not be allowed."""
    assert LIMIT_RANGES["depth"][1] == LAYOUT["RING_DEPTH_MAX"]
    assert LIMIT_RANGES["string_bytes"][1] == LAYOUT["RING_RECORD_MAX"]
    assert LAYOUT["RING_NAME_LENGTH_MAX"] == NAME_BYTES_MAX
    assert asdict(catalog.load().limits) == asdict(Limits())


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("tool.execution.stop", Mode.STRIP),
        ("tool", Mode.STRIP),
        ("toolbox.opened", Mode.PASS),
        ("shop.pool.status", Mode.PASS),
        ("", Mode.PASS),
    ],
)
def test_reserved_names_are_stripped(name: str, mode: Mode) -> None:
    """By the first segment of a name; all others pass."""
    assert catalog.load().mode_of(name) == mode


def test_a_user_adds_an_event(write: Write) -> None:
    """With keys and units; what is left out is an application's point."""
    path = write(
        '[events."shop.order"]\nmeasurements = { total = "EUR" }\n'
        'metadata = ["country"]\n'
    )
    assert entry("shop.order", path) == EventEntry(
        "shop.order", measurements={"total": "EUR"}, metadata=("country",)
    )
    assert catalog.load().entry("shop.order") is None


def test_a_user_s_span_is_three_events(write: Write) -> None:
    """Its end has the measurements; all of them the metadata."""
    path = write(
        '[spans."shop.pay"]\nsummary = "A payment"\nmetadata = ["way"]\n'
        'measurements = { amount = "EUR" }\n'
    )
    start, stop, error = (
        entry(f"shop.pay.{kind}", path) for kind in ("start", "stop", "exception")
    )
    assert dict(start.measurements) == {"system_time": "ns"}
    assert dict(stop.measurements) == {"duration": "ns", "amount": "EUR"}
    assert dict(error.measurements) == {"duration": "ns"}
    assert stop.metadata == ("way",)
    assert {*error.metadata} == {"way", "outcome", "error_type", "error_message"}
    assert [event.kind for event in (start, stop, error)] == [
        *("start", "stop", "exception")
    ]
    assert start.summary == "A payment: it has begun."


def test_a_user_adds_keys_to_an_event_of_shmtel(write: Write) -> None:
    """It keeps what it had."""
    path = write(
        '[events."tool.result_size"]\nmetadata = ["tenant", "tool"]\n'
        'measurements = { rows = "1", bytes = "bytes" }\n'
    )
    before, after = entry("tool.result_size"), entry("tool.result_size", path)
    assert dict(after.measurements) == {"bytes": "bytes", "rows": "1"}
    assert after.metadata == (*before.metadata, "tenant")
    assert after.summary == before.summary


def test_a_family_is_of_all_files(write: Write) -> None:
    """Its keys are in events of shmtel, and in those of a later file."""
    family = write('[families."*"]\nmetadata = ["tenant"]\n')
    event = write('[events."shop.order"]\n', "event.toml")
    assert entry("shop.order", family, event).metadata == ("tenant",)
    assert "tenant" in entry("grpc.call.stop", family, event).metadata


def test_the_last_mode_that_matches_counts(write: Write) -> None:
    """Over all files in their order; case counts, and `*` crosses dots."""
    first = write(
        '[[modes]]\npattern = "shop.*"\nmode = "reject"\n'
        '[[modes]]\npattern = "shop.test.*"\nmode = "pass"\n'
    )
    second = write('[[modes]]\npattern = "tool.*"\nmode = "pass"\n', "second.toml")
    known = catalog.load([first, second])
    assert known.mode_of("shop.order.placed") == Mode.REJECT
    assert known.mode_of("shop.test.order") == Mode.PASS
    assert known.mode_of("Shop.order") == Mode.PASS
    assert known.mode_of("tool.execution.stop") == Mode.PASS
    assert known.mode_of("python.call.stop") == Mode.STRIP


def test_the_last_limit_counts(write: Write) -> None:
    """Those that nobody sets are shmtel's."""
    first = write("[limits]\nkeys = 10\ndepth = 2\n")
    second = write("[limits]\nkeys = 20\n", "second.toml")
    limits = catalog.load([first, second]).limits
    assert (limits.keys, limits.depth) == (20, 2)
    assert limits.name_bytes == Limits().name_bytes


def test_the_same_file_twice_is_that_file(write: Write) -> None:
    """A variable and a flag may name the same one."""
    path = write('[spans."shop.pay"]\nmetadata = ["way"]\nsummary = "A payment."\n')
    assert catalog.load([path, path]) == catalog.load([path])


def test_keys_may_come_before_the_event(write: Write) -> None:
    """Of two files that speak of one event, either may be the first."""
    keys = write('[events."shop.order"]\nmetadata = ["country"]\n')
    event = write('[events."shop.order"]\nsummary = "An order."\n', "event.toml")
    expected = EventEntry("shop.order", summary="An order.", metadata=("country",))
    assert entry("shop.order", keys, event) == expected
    assert entry("shop.order", event, keys) == expected


def test_files_with_line_ends_of_windows(write: Write) -> None:
    """They are read like others."""
    path = write("")
    path.write_bytes(b'[events."shop.order"]\r\nmetadata = ["country"]\r\n')
    assert entry("shop.order", path).metadata == ("country",)


def test_the_variable_names_files() -> None:
    """With colons in between; empty parts are nothing."""
    assert catalog.paths_of({}) == []
    assert catalog.paths_of({"SHMTEL_CATALOG": "a.toml::/b/c.toml:"}) == [
        Path("a.toml"),
        Path("/b/c.toml"),
    ]


def test_every_emitter_is_used() -> None:
    """The words for who emits an event say something."""
    used = {e for event in catalog.load().events.values() for e in event.emitters}
    assert used == set(EMITTERS)
