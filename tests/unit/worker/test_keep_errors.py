"""What is kept when an exception follows a start that was sampled out."""

import contextlib

import pytest

import shmtel
from shmtel import _ring
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace

HALF = 1 << 31


def fail() -> None:
    """Run a span to a bad end."""
    with contextlib.suppress(ValueError), shmtel.span("job"):
        raise ValueError("no")


def set_words(ring: OwnRing, **words: int) -> None:
    """Set the words of the span's three events by their last segment."""
    fail()
    with shmtel.span("job"):
        pass
    names = ring.consumer.names(0)
    for moment, word in words.items():
        ring.consumer.set_word(names.index(f"job.{moment}"), word)
    ring.events()


def test_rule_for_exceptions_keeps_them_all(ring: OwnRing) -> None:
    """With the exception's own word at 0 each one is recorded, and weighs 1."""
    set_words(ring, start=_ring.WORD_KEEP_NONE, stop=_ring.WORD_KEEP_NONE, exception=0)
    before = shmtel.stats()["sampled_out"]
    for _ in range(50):
        fail()
    events = ring.events()
    assert [event.name for event in events] == ["job.exception"] * 50
    assert {event.threshold for event in events} == {0}
    assert shmtel.stats()["sampled_out"] == before + 50


def test_kept_span_s_exception_weighs_one_too(ring: OwnRing) -> None:
    """All exceptions are kept, so also those after a kept start stand for one each."""
    set_words(ring, start=HALF, stop=HALF, exception=0)
    for _ in range(200):
        fail()
    events = ring.events()
    thresholds = {event.name: event.threshold for event in events}
    assert thresholds == {"job.start": HALF, "job.exception": 0}
    names = [event.name for event in events]
    assert names.count("job.exception") == 200
    assert 40 < names.count("job.start") < 160


def test_default_word_is_a_rule_too(ring: OwnRing) -> None:
    """A policy that keeps everything else keeps the exceptions."""
    set_words(ring, start=_ring.WORD_KEEP_NONE)
    ring.consumer.set_default_word(0)
    fail()
    assert [event.name for event in ring.events()] == ["job.exception"]


@pytest.mark.parametrize("exception", [_ring.WORD_UNSET, 1, HALF])
def test_without_such_a_rule_the_end_follows_the_start(
    ring: OwnRing, exception: int
) -> None:
    """Another rate for exceptions, or none, does not part them from their start."""
    set_words(ring, start=_ring.WORD_KEEP_NONE, exception=exception)
    fail()
    assert ring.events() == []
    set_words(ring, start=0, exception=exception)
    fail()
    assert [event.name for event in ring.events()] == ["job.start", "job.exception"]


def test_good_end_follows_its_start(ring: OwnRing) -> None:
    """A rule that keeps all stops does not bring back those of other starts."""
    set_words(ring, start=_ring.WORD_KEEP_NONE, stop=0, exception=0)
    with shmtel.span("job"):
        pass
    assert ring.events() == []


def test_filter_stands_over_the_rule(ring: OwnRing) -> None:
    """A denied exception is filtered."""
    set_words(ring, exception=_ring.WORD_DENIED)
    ring.consumer.set_default_word(0)
    fail()
    assert [event.name for event in ring.events()] == ["job.start"]


def test_own_initial_rate_is_no_rule_for_exceptions() -> None:
    """Only a policy keeps exceptions; the worker's own rate of 1 for them does not."""
    code = """
import os, shmtel
from shmtel import _ring, ring
shmtel.emit("made", {})
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
consumer = _ring.Consumer(ring.home_in_force().open(name, writable=True))
def fail():
    try:
        with shmtel.span("job"):
            raise ValueError
    except ValueError:
        pass
fail()
consumer.set_word(consumer.names(0).index("job.start"), _ring.WORD_KEEP_NONE)
fail()
assert shmtel.stats()["sampled_out"] == 2, shmtel.stats()
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        names = [event.name for event in ring.events]
        assert names == ["made", "job.start", "job.exception"]
