"""The names of a span are known together, so that a policy rules over all three."""

import contextlib
import json

import pytest

import shmtel
from shmtel import _ring
from support.own_ring import OwnRing
from support.processes import run_python
from support.program import fresh_namespace

FULL = """
import json, shmtel
for number in range(@USED):
    shmtel.emit(f"name.{number}", {})
try:
    with shmtel.span("late"):
        raise ValueError
except ValueError:
    pass
counts = shmtel.stats()
with open("@OUT", "w") as out:
    json.dump([counts["names"], counts["committed"], counts["dropped"]], out)
"""


def names_after_start(ring: OwnRing, operation: str) -> list[str]:
    """Return the names that entering a span has added."""
    known = len(ring.consumer.names(0))
    with shmtel.span(operation):
        return ring.consumer.names(known)


def test_ends_are_named_before_their_start(ring: OwnRing) -> None:
    """Whoever sees the name of a start sees those of its ends, used or not."""
    added = names_after_start(ring, "together")
    assert added == ["together.stop", "together.exception", "together.start"]
    assert names_after_start(ring, "together") == []


def test_names_that_are_known_are_not_added_again(ring: OwnRing) -> None:
    """An end that was emitted before keeps the id that it has."""
    shmtel.emit("known.exception", {})
    assert names_after_start(ring, "known") == ["known.stop", "known.start"]


def test_first_exception_obeys_its_own_rule(ring: OwnRing) -> None:
    """A rule that keeps all exceptions acts on the first one of an operation."""
    names_after_start(ring, "first")
    words = {"first.start": _ring.WORD_KEEP_NONE, "first.exception": 0}
    names = ring.consumer.names(0)
    for name, word in words.items():
        ring.consumer.set_word(names.index(name), word)
    ring.events()
    with contextlib.suppress(ValueError), shmtel.span("first"):
        raise ValueError
    assert [event.name for event in ring.events()] == ["first.exception"]


def test_first_exception_does_not_meet_the_default_word(ring: OwnRing) -> None:
    """What keeps unknown names does not keep an exception that has a word."""
    names_after_start(ring, "ruled")
    names = ring.consumer.names(0)
    for moment in ("start", "stop", "exception"):
        ring.consumer.set_word(names.index(f"ruled.{moment}"), _ring.WORD_KEEP_NONE)
    ring.consumer.set_default_word(0)
    ring.events()
    with contextlib.suppress(ValueError), shmtel.span("ruled"):
        raise ValueError
    assert ring.events() == []


@pytest.mark.parametrize("length", [246, 249])
def test_start_of_a_long_name_stands_alone(ring: OwnRing, length: int) -> None:
    """A start whose exception would have too long a name is recorded all the same."""
    operation = "x" * length
    assert names_after_start(ring, operation)[-1] == f"{operation}.start"
    assert ring.events()[0].name == f"{operation}.start"


@pytest.mark.parametrize(
    ("used", "names", "committed", "full"),
    [(1_021, 1_024, 1_023, 0), (1_022, 1_024, 1_024, 0), (1_023, 1_024, 1_024, 1)],
)
def test_start_without_room_for_its_ends_stands_alone(
    used: int,
    names: int,
    committed: int,
    full: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Names for later do not take the last room from those that are needed now."""
    out = tmp_path_factory.mktemp("counts") / "out"
    code = FULL.replace("@USED", str(used)).replace("@OUT", str(out))
    with fresh_namespace() as namespace:
        run_python(code, namespace)
    found = json.loads(out.read_text())
    assert found[:2] == [names, committed]
    assert found[2].get("name_table_full", 0) == full
