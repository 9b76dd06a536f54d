"""Consumer: words, hints, names, counters, and the end of a consumer."""

import os
from collections.abc import Callable
from ctypes import c_uint64

import pytest

from shmtel._ring import (
    RING_OFF,
    RING_ON,
    RING_RETIRED,
    THRESHOLD_MAX,
    WORD_DENIED,
    WORD_KEEP_NONE,
    WORD_UNSET,
    Consumer,
    RingError,
)
from support.ring_builder import RingBuilder
from support.ring_layout import DROP_SLOTS, ControlZone, NamesZone, ProducerZone


def _reason(call: Callable[[], object]) -> str:
    with pytest.raises(RingError) as caught:
        call()
    return caught.value.reason


@pytest.mark.parametrize("state", [RING_OFF, RING_ON, RING_RETIRED])
def test_enabled_is_stored(ring: RingBuilder, consumer: Consumer, state: int) -> None:
    """The three states reach the word that the producer reads."""
    consumer.set_enabled(state)
    assert ring.peek(ControlZone).enabled == state


@pytest.mark.parametrize(
    "word", [0, 1, THRESHOLD_MAX, WORD_UNSET, WORD_KEEP_NONE, WORD_DENIED]
)
def test_words_are_stored(ring: RingBuilder, consumer: Consumer, word: int) -> None:
    """Thresholds and special words, for one event and by default."""
    consumer.set_word(1023, word)
    consumer.set_default_word(word)
    control = ring.peek(ControlZone)
    assert control.word[1023] == control.default_word == word
    assert control.word[1022] == WORD_UNSET


def test_hints_are_stored(ring: RingBuilder, consumer: Consumer) -> None:
    """What the collector notes for whoever looks at the ring."""
    consumer.set_sent_seq(2**64 - 1)
    consumer.set_final_tail(0)
    consumer.set_heartbeat(epoch=7, now_ns=9)
    control = ring.peek(ControlZone)
    assert control.sent_seq == 2**64 - 1
    assert control.final_tail == 0
    assert (control.collector_epoch, control.collector_heartbeat_ns) == (7, 9)


def test_values_without_a_meaning_are_refused(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Reserved words, unknown states and ids past the table store nothing."""
    before = bytes(ring.peek(ControlZone))
    for call, arguments in (
        (consumer.set_enabled, (3,)),
        (consumer.set_word, (1024, 0)),
        (consumer.set_word, (0, THRESHOLD_MAX + 1)),
        (consumer.set_word, (0, WORD_UNSET - 1)),
        (consumer.set_word, (0, 2**32)),
        (consumer.set_default_word, (2**32 - 16,)),
    ):
        with pytest.raises(ValueError, match=r"fit|word"):
            call(*arguments)
    for call, arguments in (
        (consumer.set_enabled, (-1,)),
        (consumer.set_sent_seq, (2**64,)),
        (consumer.set_word, (-1, 0)),
        (consumer.set_heartbeat, (0, -1)),
    ):
        with pytest.raises(OverflowError):
            call(*arguments)
    assert bytes(ring.peek(ControlZone)) == before


def test_a_consumer_writes_only_the_control_zone(ring: RingBuilder) -> None:
    """All it does leaves the worker's zones as they were."""
    ring.add_name("a.b")
    ring.append()
    worker = [(0, 2 * 4096), (ring.names_offset, ring.file_size - ring.names_offset)]
    before = [os.pread(ring.fd, size, offset) for offset, size in worker]
    consumer = Consumer(ring.open())
    assert consumer.drain(1) is not None
    consumer.settle(ring.tail, 1, [1] + [0] * 31)
    consumer.set_word(0, 5)
    consumer.set_heartbeat(1, 2)
    consumer.close()
    assert before == [os.pread(ring.fd, size, offset) for offset, size in worker]


def test_names_are_listed_from_an_id_on(ring: RingBuilder, consumer: Consumer) -> None:
    """Names come verbatim, in the order of their ids."""
    ring.add_name("münchen.\0.事件")
    ring.add_name("")
    ring.add_name("x" * 255)
    assert consumer.names(0) == ["a.b", "münchen.\0.事件", "", "x" * 255]
    assert consumer.names(3) == ["x" * 255]
    assert consumer.names(4) == consumer.names(10**6) == []


def test_a_full_table_of_names_is_listed(ring: RingBuilder, consumer: Consumer) -> None:
    """All 1,024 entries are in use."""
    names = ["a.b"] + [f"event.{number}" for number in range(1023)]
    for name in names[1:]:
        ring.add_name(name)
    assert consumer.names(0) == names


@pytest.mark.parametrize(
    "entry",
    [
        {"text_length": 256},
        {"text_length": 65535},
        {"text_offset": 65472},
        {"text_offset": 2**32 - 1},
        {"text_offset": 65470},
        {"text_offset": 1000},  # not UTF-8 there
    ],
)
def test_a_damaged_table_of_names_ends_the_ring(
    ring: RingBuilder, consumer: Consumer, entry: dict[str, int]
) -> None:
    """An entry that points outside the text, or at no text, is not followed."""
    ring.write(ring.names_offset + 64 + 64 * 1024 + 1000, b"\xed\xa0\x80")
    ring.add_name("abc")
    ring.poke_entry(1, **entry)
    assert _reason(lambda: consumer.names(0)) == "names"
    assert _reason(lambda: consumer.drain(1)) == "names"


def test_names_before_the_first_are_not_judged(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """What was listed once is not looked at again."""
    consumer.names(0)
    ring.poke_entry(0, text_length=65535)
    ring.add_name("c")
    assert consumer.names(1) == ["c"]


@pytest.mark.parametrize("count", [1025, 2**32 - 1])
def test_too_many_names_end_the_ring(
    ring: RingBuilder, consumer: Consumer, count: int
) -> None:
    """The table is bounded, whatever the worker says."""
    ring.poke(NamesZone, name_count=count)
    assert _reason(lambda: consumer.names(0)) == "names"


def test_counters_are_the_workers_claims(ring: RingBuilder, consumer: Consumer) -> None:
    """They are shown as they stand, by name."""
    ring.poke(ProducerZone, sampled_out=3, filtered=4, disabled=5, high_water=6)
    ring.poke(ProducerZone, first_drop_ns=7, last_drop_ns=8, bytes=9, committed=10)
    ring.poke(ProducerZone, dropped=(c_uint64 * DROP_SLOTS)(1, 2))
    assert consumer.counters() == {
        "committed": 10,
        "bytes": 9,
        "sampled_out": 3,
        "filtered": 4,
        "disabled": 5,
        "dropped": {
            "ring_full": 1,
            "too_large": 2,
            "invalid": 0,
            "name_table_full": 0,
            "reentrant": 0,
            "no_ring": 0,
        },
        "first_drop_ns": 7,
        "last_drop_ns": 8,
        "high_water": 6,
        "closed": False,
    }
    ring.poke(ProducerZone, state=2)
    assert consumer.counters()["closed"]


def test_a_closed_consumer_refuses_all_but_its_notes(
    ring: RingBuilder, consumer: Consumer
) -> None:
    """Nothing touches the ring any more; what it knew may still be asked."""
    ring.append()
    consumer.drain(1)
    consumer.close()
    consumer.close()
    for call in (
        lambda: consumer.drain(1),
        lambda: consumer.skip_to(1),
        lambda: consumer.settle(0, 0, [0] * 32),
        lambda: consumer.names(0),
        lambda: consumer.set_enabled(1),
        lambda: consumer.set_default_word(0),
        lambda: consumer.set_word(0, 0),
        lambda: consumer.set_sent_seq(0),
        lambda: consumer.set_final_tail(0),
        lambda: consumer.set_heartbeat(0, 0),
        consumer.tail,
        consumer.counters,
        consumer.fileno,
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert consumer.cursor_seq == 1
    assert consumer.identity["ring_id"] == ring.ring_id
