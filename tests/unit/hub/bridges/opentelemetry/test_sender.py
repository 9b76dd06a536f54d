"""What waits to be sent, what is tried again, and the account of it."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from shmtel.hub.bridges.opentelemetry.frames import Chunk
from shmtel.hub.bridges.opentelemetry.outbox import Outbox
from shmtel.hub.bridges.opentelemetry.sender import Answer, Sender
from support.processes import wait_until

FOR_LATER = Answer(error="away", may_pass=True, delay_s=0.0)


class ScriptedClient:
    """Answers as it is told, then takes all; it can be held."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self.requests: list[bytes] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_closed = False

    def send(self, request: bytes, timeout_s: float) -> Answer:
        """Note a request."""
        self.requests.append(request)
        assert self.may_go_on.wait(10.0)
        return next(self._answers, Answer())

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def make(
    client: ScriptedClient,
    *,
    room_bytes: int = 1_000,
    batch_bytes: int = 30,
    delay_s: float = 0.0,
    retry_s: float = 5.0,
) -> Sender:
    """Return a sender that has been started."""
    outbox = Outbox(room_bytes, batch_bytes, delay_s)
    sender = Sender("traces", client, outbox, timeout_s=1.0, retry_s=retry_s)
    sender.start()
    return sender


def finish(sender: Sender, seconds: float = 10.0) -> None:
    """End it as the bridge does."""
    sender.outbox.end()
    sender.join(time.monotonic() + seconds)


def fate(sender: Sender) -> tuple[int, dict[str, int]]:
    """Return what was sent and dropped; nothing is left and nothing unaccounted."""
    account = sender.account()
    assert account.waiting == account.waiting_bytes == 0
    assert account.given == account.sent + sum(account.dropped.values())
    return account.sent, dict(account.dropped)


def test_chunks_share_requests() -> None:
    """In order, and as many as fit; one that is too long goes alone."""
    client = ScriptedClient()
    sender = make(client, delay_s=60.0)
    for letter, size in (("a", 10), ("b", 15), ("c", 10), ("d", 50), ("e", 1)):
        assert sender.outbox.put(Chunk(letter.encode() * size, 1))
    finish(sender)
    sent = [bytes(sorted(set(request))).decode() for request in client.requests]
    assert "".join(sent) == "abcde"
    assert [len(request) for request in client.requests] == [25, 10, 50, 1]
    assert fate(sender) == (5, {})
    assert client.is_closed


def test_little_waits_for_more() -> None:
    """For a while; then it goes alone."""
    client = ScriptedClient()
    sender = make(client, delay_s=0.05)
    began = time.monotonic()
    sender.outbox.put(Chunk(b"a", 1))
    sender.outbox.put(Chunk(b"b", 1))
    wait_until(lambda: client.requests)
    assert time.monotonic() - began >= 0.05
    finish(sender)
    assert client.requests == [b"ab"]


def test_what_finds_no_room_is_dropped() -> None:
    """Also while something is being sent; memory is bounded by the room."""
    client = ScriptedClient()
    sender = make(client, room_bytes=40, batch_bytes=20)
    client.may_go_on.clear()
    assert sender.outbox.put(Chunk(b"a" * 30, 3))
    wait_until(lambda: client.requests)
    assert sender.outbox.put(Chunk(b"b" * 10, 1))
    assert not sender.outbox.put(Chunk(b"c", 2))
    account = sender.account()
    assert (account.waiting, account.waiting_bytes) == (4, 40)
    client.may_go_on.set()
    wait_until(lambda: sender.account().sent == 4)
    assert sender.outbox.put(Chunk(b"d" * 40, 5))
    finish(sender)
    assert fate(sender) == (9, {"queue_full": 2})


def test_a_failure_that_may_pass_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same request, until it is taken; it is said once, and its end, too."""
    client = ScriptedClient(FOR_LATER, FOR_LATER)
    with caplog.at_level(logging.INFO):
        sender = make(client)
        sender.outbox.put(Chunk(b"a", 2))
        finish(sender)
    assert client.requests == [b"a"] * 3
    assert fate(sender) == (2, {})
    assert sender.account().retries == 2
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "OTLP: away; the traces are sent again",
        "OTLP: traces are taken again",
    ]


def test_what_is_refused_is_dropped_at_once() -> None:
    """And what follows is sent."""
    client = ScriptedClient(Answer(error="400"))
    sender = make(client, batch_bytes=1)
    sender.outbox.put(Chunk(b"a", 2))
    sender.outbox.put(Chunk(b"b", 3))
    finish(sender)
    assert client.requests == [b"a", b"b"]
    assert fate(sender) == (3, {"refused": 2})


def test_a_failure_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Also where a backend says something else each time, and where it flaps."""
    errors = [Answer(error=f"400 request {number} is bad") for number in range(4)]
    client = ScriptedClient(*errors[:2], Answer(), *errors[2:], Answer())
    with caplog.at_level(logging.INFO):
        sender = make(client, batch_bytes=1)
        for _ in range(6):
            sender.outbox.put(Chunk(b"a", 1))
        finish(sender)
    assert fate(sender) == (2, {"refused": 4})
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "OTLP: 400 request 0 is bad; the traces are dropped and counted",
        "OTLP: traces are taken again",
    ]


@pytest.mark.parametrize("rejected", [2, 99, -1])
def test_partial_success_is_believed_within_reason(rejected: int) -> None:
    """No more can be rejected than was sent, and no fewer than nothing."""
    sender = make(ScriptedClient(Answer(rejected=rejected, message="too long")))
    sender.outbox.put(Chunk(b"a", 5))
    finish(sender)
    lost = max(0, min(5, rejected))
    assert fate(sender) == (5 - lost, {"rejected": lost} if lost else {})


def test_it_is_given_up_after_a_time() -> None:
    """A backend that wants to be left alone for longer is not waited for."""
    later = Answer(error="busy", may_pass=True, delay_s=3_600.0)
    client = ScriptedClient(later)
    sender = make(client, batch_bytes=1)
    sender.outbox.put(Chunk(b"a", 2))
    sender.outbox.put(Chunk(b"b", 3))
    finish(sender)
    assert client.requests == [b"a", b"b"]
    assert fate(sender) == (3, {"given_up": 2})


def test_the_end_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """What is in hand and what waits is counted and said, once, whatever becomes of
    it: a hub that has ended exposes no count."""
    client = ScriptedClient()
    sender = make(client, batch_bytes=1)
    client.may_go_on.clear()
    sender.outbox.put(Chunk(b"a", 2))
    sender.outbox.put(Chunk(b"b", 3))
    wait_until(lambda: client.requests)
    finish(sender, 0.01)
    assert fate(sender) == (0, {"stopped": 5})
    finish(sender, 0.01)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["OTLP: 5 traces could not be sent any more"]
    client.may_go_on.set()
    wait_until(lambda: client.is_closed)
    assert client.requests == [b"a"]
    assert not sender.outbox.put(Chunk(b"c", 1))
    assert fate(sender) == (0, {"stopped": 6})


def test_the_end_cuts_a_long_wait_short() -> None:
    """What failed is tried once more, for the backend may be back."""
    later = Answer(error="busy", may_pass=True, delay_s=3_600.0)
    client = ScriptedClient(later)
    sender = make(client, retry_s=1e9)
    sender.outbox.put(Chunk(b"a", 2))
    wait_until(lambda: client.requests)
    finish(sender)
    assert fate(sender) == (2, {})


def test_a_defect_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client raises costs its request alone."""
    client = ScriptedClient()
    monkeypatch.setattr(client, "send", None)
    sender = make(client)
    sender.outbox.put(Chunk(b"a", 2))
    finish(sender)
    assert fate(sender) == (0, {"refused": 2})


def test_one_that_never_started_ends() -> None:
    """What was put is counted as dropped."""
    outbox = Outbox(10, 10, 0.0)
    sender = Sender("logs", ScriptedClient(), outbox, timeout_s=1.0, retry_s=1.0)
    outbox.put(Chunk(b"a", 2))
    finish(sender)
    assert fate(sender) == (0, {"stopped": 2})
