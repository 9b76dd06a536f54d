"""What a stream at the hub waits for, and that it does not for ever."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shmtel.hub import stream
from shmtel.hub.handlers import BatchFunction
from shmtel.hub.services import Services
from shmtel.wire import hub_role
from shmtel.wire.codec import decode_hub_frame, encode_collector_frame
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    CollectorFrame,
    Error,
    ErrorCode,
    HubFrame,
    NamesAdded,
    ResumePoint,
    RingOpened,
    Welcome,
)
from shmtel.wire.protocol import payload_bytes
from support.frames import HELLO, OPENED, TERMS
from support.hubs import WAIT_S, Seqs, make_services
from support.processes import wait_until
from support.uplink import make_segment

NAMES = NamesAdded(1, 0, ("a",))
ANOTHER = RingOpened(2, b"s" * 16, OPENED.worker)


class Served:
    """A stream that is served by a thread, while a test says what comes in."""

    def __init__(self, services: Services) -> None:
        self.stream = stream.Stream(services, TERMS)
        self.answers: list[HubFrame | None] = []
        self._frames = queue.SimpleQueue[bytes | None]()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def send(self, *frames: CollectorFrame) -> None:
        """Let frames come in."""
        for frame in frames:
            self._frames.put(encode_collector_frame(frame))

    def _serve(self) -> None:
        for data in self.stream.serve(self._requests()):
            self.answers.append(decode_hub_frame(data))
        self._frames.put(None)  # as a transport ends the requests with the call

    def _requests(self) -> Iterator[bytes]:
        return iter(self._frames.get, None)

    def has(self, kind: type[HubFrame]) -> bool:
        """Tell whether an answer of a kind has come."""
        return any(isinstance(answer, kind) for answer in self.answers)


def attach(services: Services, sink: BatchFunction) -> None:
    """Attach a sink that the hub does not run without, in a thread of its own."""
    services.dispatcher.attach(
        *("sink", ["*"], sink), is_batch=True, is_required=True, own_thread=True
    )


class Failing(Seqs):
    """A handler that raises when it may go on."""

    def __call__(self, batch: object, _config: object = None) -> None:
        """Wait, and raise."""
        self.entered.set()
        assert self.may_go_on.wait(WAIT_S)
        raise RuntimeError("full")


def test_a_stream_that_waits_for_its_acks_ends_when_the_hub_fails() -> None:
    """Nothing will come to rest any more, and its collector is told so."""
    services, sink = make_services(), Failing()
    sink.hold()
    attach(services, sink)
    services.table.open(HELLO, ANOTHER)  # known, so all has to be at rest first
    served = Served(services)
    served.send(HELLO, OPENED, NAMES, Batch(1, (make_segment(0, 1),)), ANOTHER)
    assert sink.entered.wait(WAIT_S)
    wait_until(lambda: 2 in served.stream._protocol._rings._rings)
    sink.may_go_on.set()
    assert served.stream.stopped.wait(WAIT_S)
    served.thread.join(WAIT_S)
    assert isinstance(served.answers[-1], Error)


def test_the_last_ack_leaves_before_the_stream_ends() -> None:
    """Also when all has come in, and the stream looks right after the commit."""
    services = make_services()
    served = Served(services)
    acknowledge = served.stream._progress._on_committed

    def acknowledge_late(batch_seq: int) -> None:
        wait_until(lambda: served.stream._is_read_out)
        with served.stream._condition:
            served.stream._condition.notify_all()
        served.thread.join(0.3)  # it ends in this time, if it does too early
        acknowledge(batch_seq)

    served.stream._progress._on_committed = acknowledge_late
    served.send(HELLO, OPENED, NAMES, Batch(1, (make_segment(0, 1),)), Bye("done"))
    served.thread.join(WAIT_S)
    assert isinstance(served.answers[-1], Ack)


def test_no_ring_goes_on_from_what_a_failed_hub_has_not_kept() -> None:
    """A stream that is over because the hub failed lets no successor past it."""
    services, sink, may_close = make_services(), Failing(), threading.Event()
    services.dispatcher._on_failure = lambda _: may_close.wait(WAIT_S)
    sink.hold()
    attach(services, sink)
    first, second = Served(services), Served(services)
    first.send(HELLO, OPENED, NAMES, Batch(1, (make_segment(0, 1),)))
    assert sink.entered.wait(WAIT_S)
    second.send(replace(HELLO, epoch=HELLO.epoch + 1), OPENED)
    wait_until(lambda: second.has(Welcome))
    sink.may_go_on.set()
    wait_until(lambda: services.dispatcher.failure)
    first.send(Bye("done"))
    assert first.stream.stopped.wait(WAIT_S)
    assert second.stream.stopped.wait(WAIT_S)
    second.thread.join(WAIT_S)
    assert not second.has(ResumePoint)
    may_close.set()


def attach_held(services: Services) -> Seqs:
    """Attach a sink in a thread of its own, and hold it up."""
    sink = Seqs()
    sink.hold()
    attach(services, sink)
    return sink


def test_a_stream_that_is_to_end_reads_no_more() -> None:
    """It finishes what is in work, or it would go on while its collector sends."""
    services = make_services()
    sink = attach_held(services)
    served = Served(services)
    served.send(HELLO, OPENED, NAMES, Batch(1, (make_segment(0, 1),)))
    assert sink.entered.wait(WAIT_S)
    served.stream.end(ErrorCode.SUPERSEDED, "a newer one")
    served.send(Batch(2, (make_segment(1, 2),)))
    wait_until(lambda: served.stream._is_read_out)
    sink.may_go_on.set()
    served.thread.join(WAIT_S)
    last = (Ack(1, TERMS.ack_level, TERMS.credit_bytes), Error(3, "a newer one"))
    assert tuple(served.answers[-2:]) == last
    assert sink.seqs == [1]


def test_no_more_is_read_than_was_granted() -> None:
    """A collector that forgets its credit does not fill the hub's memory."""
    services = make_services()
    sink = attach_held(services)
    served = Served(services)
    batches = [Batch(n, (make_segment(n - 1, n),)) for n in range(1, 201)]
    served.send(HELLO, OPENED, NAMES, *batches)
    wait_until(served.stream._protocol.is_full)
    read = served.stream._protocol._last_batch_seq
    assert read * payload_bytes(batches[0]) <= TERMS.credit_bytes + 100
    sink.may_go_on.set()
    wait_until(lambda: sink.seqs == list(range(1, 201)))
    served.send(Bye("done"))
    served.thread.join(WAIT_S)


def test_no_more_is_read_than_is_answered_and_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collector that reads nothing does not fill the hub's memory with answers."""
    monkeypatch.setattr(hub_role, "OUTGOING_MAX", 3)
    monkeypatch.setattr(stream, "OUTGOING_MAX", 3)
    services, requests = make_services(), queue.SimpleQueue[bytes | None]()
    held = stream.Stream(services, TERMS)
    for frame in (
        HELLO,
        *(replace(ANOTHER, ring=n, ring_id=bytes([n]) * 16) for n in range(1, 21)),
    ):
        requests.put(encode_collector_frame(frame))
    requests.put(None)
    answers = held.serve(iter(requests.get, None))
    first = next(answers)
    wait_until(held._protocol.is_full)
    assert len(services.table.entries()) < 10
    rest = [decode_hub_frame(data) for data in answers]
    assert decode_hub_frame(first) == TERMS
    assert [answer.ring for answer in rest if isinstance(answer, ResumePoint)] == list(
        range(1, 21)
    )


def test_a_stream_that_was_read_to_its_end_stops_when_the_hub_fails() -> None:
    """Nobody waits for it any more: the hub ends without it."""
    services, sink = make_services(), Failing()
    sink.hold()
    attach(services, sink)
    served = Served(services)
    served.send(HELLO, OPENED, NAMES, Batch(1, (make_segment(0, 1),)), Bye("done"))
    assert sink.entered.wait(WAIT_S)
    wait_until(lambda: served.stream._is_read_out)
    assert not served.stream.stopped.wait(0.1)
    sink.may_go_on.set()
    assert served.stream.stopped.wait(WAIT_S)
    assert services.fleet.live_count() == 0
