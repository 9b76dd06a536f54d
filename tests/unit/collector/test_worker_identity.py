"""Who a worker says it is: judged key by key, whatever the blob holds."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmtel_collector.worker import MAX_TEXT_LENGTH, worker_of

GOOD = {
    "worker_id": "w1",
    "pool_name": "pool",
    "service": "shop",
    "argv0": "app.py",
    "python": "3.11.7",
}


def _identity(resource: bytes) -> Any:
    return {"resource": resource, "pid": 42, "realtime_ns": 7}


def test_every_key_is_taken_over() -> None:
    """What a worker says in good form stands."""
    worker = worker_of(_identity(msgpack.packb(GOOD)))
    assert (worker.worker_id, worker.pool_name, worker.service) == (
        "w1",
        "pool",
        "shop",
    )
    assert (worker.argv0, worker.python) == ("app.py", "3.11.7")
    assert (worker.pid, worker.created_ns) == (42, 7)


@pytest.mark.parametrize(
    "value", [None, 1, b"w1", ["w1"], "", "a\nb", "x" * (MAX_TEXT_LENGTH + 1)]
)
def test_bad_value_falls_back_alone(value: object) -> None:
    """One bad key does not take the others with it."""
    worker = worker_of(_identity(msgpack.packb({**GOOD, "worker_id": value})))
    assert worker.worker_id == "pool-42"
    assert worker.service == "shop"


@pytest.mark.parametrize(
    ("value", "index"),
    [(0, 0), (7, 7), (2**32 - 1, 2**32 - 1)]
    + [(bad, None) for bad in (-1, 2**32, True, 1.0, "7", None, [7])],
)
def test_index_is_a_number_or_unknown(value: object, index: int | None) -> None:
    """The worker index is believed as far as a frame can carry it."""
    worker = worker_of(_identity(msgpack.packb({**GOOD, "worker_index": value})))
    assert worker.worker_index == index


def test_worker_without_an_index_has_none() -> None:
    """An older worker does not have the first place of its pool."""
    assert worker_of(_identity(msgpack.packb(GOOD))).worker_index is None


@given(st.binary(max_size=3840))
def test_any_blob_names_a_worker(blob: bytes) -> None:
    """No bytes raise, and there is always an id."""
    assert worker_of(_identity(blob)).worker_id


@given(st.recursive(st.integers() | st.binary(), lambda e: st.lists(e), max_leaves=5))
def test_any_value_names_a_worker(value: object) -> None:
    """A blob that is msgpack, but not a map, gives the defaults."""
    try:
        blob = msgpack.packb(value)
    except OverflowError:
        return
    assert worker_of(_identity(blob)).worker_id == "default-42"
