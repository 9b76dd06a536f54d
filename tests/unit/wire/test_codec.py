"""Frames to bytes and back."""

import pytest

from shmtel.policy.model import Policy, Rule, Selector
from shmtel.wire import codec
from shmtel.wire.errors import LocalProtocolError, RemoteProtocolError
from shmtel.wire.frames import (
    UNKNOWN_EVENT_ID,
    Ack,
    Batch,
    CollectorFrame,
    Error,
    Hello,
    HubFrame,
    RingOpened,
    Segment,
    SegmentCount,
)
from shmtel.wire.limits import HELLO_TEXT_MAX
from shmtel.wire.protocol import OUTCOME_SLOTS, batch_flaw
from support.frames import COLLECTOR_FRAMES, HUB_FRAMES, WORKER


@pytest.mark.parametrize("frame", COLLECTOR_FRAMES, ids=lambda f: type(f).__name__)
def test_collector_frames_come_back(frame: CollectorFrame) -> None:
    """Each frame of a collector decodes to what was encoded."""
    data = codec.encode_collector_frame(frame)
    assert codec.decode_collector_frame(data) == frame


@pytest.mark.parametrize("frame", HUB_FRAMES, ids=lambda f: type(f).__name__)
def test_hub_frames_come_back(frame: HubFrame) -> None:
    """Each frame of a hub decodes to what was encoded."""
    assert codec.decode_hub_frame(codec.encode_hub_frame(frame)) == frame


def test_unknown_kinds_are_none() -> None:
    """A frame of a kind that is not known here is None, and so is an empty one."""
    field_99 = b"\x9a\x06\x02ab"
    assert codec.decode_hub_frame(field_99) is None
    assert codec.decode_collector_frame(field_99) is None
    assert codec.decode_collector_frame(b"") is None


def test_unknown_fields_are_ignored() -> None:
    """What a newer peer adds to a frame does not keep it from being read."""
    bye_with_field_9 = b"\x32\x06\x0a\x01x\x4a\x01y"
    frame = codec.decode_collector_frame(bye_with_field_9)
    assert frame is not None
    assert type(frame).__name__ == "Bye"


def test_an_action_not_known_here_is_none() -> None:
    """A rule keeps its worker when its action is of a newer version."""
    rule = Rule(Selector("w"), None)
    data = codec.encode_hub_frame(Policy(1, (rule,)))
    assert codec.decode_hub_frame(data) == Policy(1, (rule,))


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05abc", b"\x0a\x02\x1a\x05"])
def test_bytes_that_are_no_frame(data: bytes) -> None:
    """Bytes that do not parse are the peer's fault."""
    with pytest.raises(RemoteProtocolError):
        codec.decode_collector_frame(data)
    with pytest.raises(RemoteProtocolError):
        codec.decode_hub_frame(data)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_ids_of_a_wrong_size(size: int) -> None:
    """An id that has not its 16 bytes is the peer's fault."""
    for frame in (
        RingOpened(1, b"r" * size, WORKER),
        Hello(1, 1, "n", "h", b"i" * size, 1),
    ):
        data = codec.encode_collector_frame(frame)
        with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
            codec.decode_collector_frame(data)


def test_a_total_given_twice() -> None:
    """Two totals of one outcome could mean anything, and are refused."""
    once = codec.encode_collector_frame(RingOpened(1, b"r" * 16, WORKER, 1, {8: 1}))
    total = b"\x2a\x04\x08\x08\x10\x01"
    assert total in once
    grown = once[:1] + bytes([once[1] + len(total)]) + once[2:] + total
    with pytest.raises(RemoteProtocolError, match="two totals"):
        codec.decode_collector_frame(grown)


@pytest.mark.parametrize(
    "frame",
    [
        Hello(-1, 1, "n", "h", b"i" * 16, 1),
        Hello(1, 1, "n\udc80", "h", b"i" * 16, 1),
        Hello(1, 1, "n", "h", b"i" * 16, 2**64),
        Hello(1, 1, "n", "h", "text", 1),  # type: ignore[arg-type]
    ],
)
def test_a_field_that_does_not_fit(frame: Hello) -> None:
    """A value that its field cannot hold is our own fault."""
    with pytest.raises(LocalProtocolError, match="hello"):
        codec.encode_collector_frame(frame)


def test_a_policy_that_no_hello_could_name() -> None:
    """An origin may be as long as a Hello holds, or its collector had no hub left."""
    good = Policy(1, origin="o" * HELLO_TEXT_MAX)
    assert codec.decode_hub_frame(codec.encode_hub_frame(good)) == good
    data = codec.encode_hub_frame(Policy(1, origin="o" * (HELLO_TEXT_MAX + 1)))
    with pytest.raises(RemoteProtocolError, match="origin has 256 characters"):
        codec.decode_hub_frame(data)


@pytest.mark.parametrize("frame", [Error(99, "why"), Ack(1, 77, 5)])
def test_numbers_that_are_not_known_are_kept(frame: HubFrame) -> None:
    """A newer hub may know more levels of an ack, and more reasons for an end."""
    assert codec.decode_hub_frame(codec.encode_hub_frame(frame)) == frame


def test_outcomes_that_are_not_known_are_kept() -> None:
    """They count like the others, as long as a ring has a place for them."""
    count = SegmentCount(UNKNOWN_EVENT_ID, OUTCOME_SLOTS - 1, 3)
    batch = Batch(1, (Segment(1, 0, 3, 0, b"", (count,)),))
    data = codec.encode_collector_frame(batch)
    assert codec.decode_collector_frame(data) == batch
    assert batch_flaw(batch) is None
