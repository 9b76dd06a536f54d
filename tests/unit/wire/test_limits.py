"""How much a status may hold: what is cut fits, and what does not is refused."""

from dataclasses import replace

import pytest

from shmtel.policy.model import (
    Filter,
    Layer,
    PolicyStatus,
    Rejection,
    Rule,
    Selector,
    Toggle,
    Traits,
    WorkerResult,
)
from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.limits import LAYERS_MAX, WORKERS_MAX, fitted, status_flaw
from support.frames import COLLECTOR_FRAMES

MESSAGE_BYTES_MAX = 4 << 20  # what grpc takes unless told otherwise
LONG = "\U0010ffff"  # four bytes in UTF-8


def _workers(
    count: int, text: str = "w", failure: str = ""
) -> tuple[WorkerResult, ...]:
    return (WorkerResult(b"r" * 16, Traits(text, text, text), failure),) * count


def _layer(name: str, pattern: str) -> Layer:
    filters = Rule(Selector(), Filter((pattern,) * 64, (pattern,) * 64))
    return Layer(name, (filters,) * 15)


@pytest.mark.parametrize(
    "status", [f for f in COLLECTOR_FRAMES if isinstance(f, PolicyStatus)]
)
def test_a_usual_status_is_not_changed(status: PolicyStatus) -> None:
    """Nothing is cut that has room."""
    assert fitted(status) == status


@pytest.mark.parametrize(
    "status",
    [
        PolicyStatus(workers=_workers(WORKERS_MAX + 1)),
        PolicyStatus(workers=_workers(1_000, LONG * 1_000)),
        PolicyStatus(workers=_workers(4_000, failure=LONG * 10_000)),
        PolicyStatus(rejection=Rejection(1, LONG * 100_000)),
        PolicyStatus(local_layers=(Layer("x"),) * (LAYERS_MAX + 1)),
        PolicyStatus(local_layers=(_layer("local", LONG * 255),) * 16),
        PolicyStatus(
            workers=_workers(5_000, LONG * 40),
            local_layers=(_layer("local", LONG * 100),) * 16,
        ),
    ],
)
def test_what_is_too_large_is_cut_until_a_hub_takes_it(status: PolicyStatus) -> None:
    """The flaw is gone, the workers are still counted, and the message fits."""
    assert status_flaw(status) is not None
    cut = fitted(status)
    assert status_flaw(cut) is None
    assert len(cut.workers) + cut.unlisted == len(status.workers)
    assert len(encode_collector_frame(cut)) < MESSAGE_BYTES_MAX


def test_workers_that_failed_are_the_last_to_be_left_out() -> None:
    """A list that is cut still says who has not applied a policy."""
    broken = _workers(3, failure="damaged")
    cut = fitted(PolicyStatus(workers=_workers(WORKERS_MAX) + broken, unlisted=2))
    assert cut.workers[:3] == broken
    assert cut.unlisted == 5


def test_a_layer_without_room_says_so() -> None:
    """Its name stays and tells that the rules are not there."""
    small = Layer("small", (Rule(Selector(), Toggle(True)),))
    cut = fitted(PolicyStatus(local_layers=(_layer("large", "x" * 255), small)))
    assert cut.local_layers[0].name == "large (too large to be listed)"
    assert cut.local_layers[1] == small


def test_too_many_rules_are_refused() -> None:
    """A layer holds no more rules than a policy."""
    layer = Layer("x", (Rule(Selector(), Toggle(True)),) * 1_025)
    assert status_flaw(PolicyStatus(local_layers=(layer,))) is not None
    status = PolicyStatus(origin="o" * 1_001)
    assert status_flaw(status) is not None
    assert status_flaw(replace(status, origin="", in_force_origin="o")) is None
