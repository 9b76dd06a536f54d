"""What the hub can take: events per second and CPU per event, by kind of handler.

A second process feeds the hub with batches that were built before, over a real
stream and under the hub's own credit, so that only the hub is measured: receive,
decode, handlers, ack. The feeder plays the same batches for one ring after the
other, because a ring's seqs cannot repeat.

The hub has a core of its own, and the feeders the others. Rounds of all
scenarios are interleaved; the value of a row is their median. Each is also run with
four feeders at once, as four hosts have a collector each.
"""

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from statistics import median
from typing import Any

import grpc
import msgspec
from measure import CORRELATION_ID, MEASUREMENTS, METADATA, report, row, size

from shmtel.hub import Hub
from shmtel.hub.handlers import EventBatch
from shmtel.hub.measures.defaults import default_metrics
from shmtel.wire.codec import decode_hub_frame, encode_collector_frame
from shmtel.wire.collector_role import CollectorProtocol
from shmtel.wire.frames import Hello, Segment, Worker

EVENTS_PER_BATCH = 1_000
BATCHES_PER_RING = 50
NAMES = tuple(f"tool.execution.{name}" for name in ("start", "stop", "exception"))
ROUNDS = size(3, 1)
SECONDS = size(20, 5) / 10  # of a round
_PATIENCE_S = 60.0


# -- the feeder: a process of its own ------------------------------------------


def _event(seq: int) -> bytes:
    fields = [CORRELATION_ID, MEASUREMENTS, METADATA, None]
    return b"".join(
        (
            b"\x98\xcd\x00\x01\xcf" + seq.to_bytes(8),
            b"\xcf" + (1_700_000_000_000_000_000 + seq).to_bytes(8),
            b"\xce\x00\x00\x00\x00",
            *map(msgspec.msgpack.encode, fields),
        )
    )


def _payloads() -> list[bytes]:
    head = b"\xdd" + EVENTS_PER_BATCH.to_bytes(4)
    return [
        head + b"".join(_event(start + i) for i in range(1, EVENTS_PER_BATCH + 1))
        for start in range(0, BATCHES_PER_RING * EVENTS_PER_BATCH, EVENTS_PER_BATCH)
    ]


class Feeder:
    """Keeps the hub's credit used up until the time is over."""

    def __init__(self, address: str, seconds: float) -> None:
        hello = Hello(1, 1, "bench", f"bench-{os.getpid()}", os.urandom(16), 1)
        self._protocol = CollectorProtocol(hello, time.monotonic_ns())
        self._changed = threading.Condition()
        self._seconds = seconds
        self._payloads = _payloads()
        self._ring, self._next = 0, BATCHES_PER_RING
        channel = grpc.insecure_channel(address)
        self._replies = channel.stream_stream("/shmtel.v1.Uplink/Stream")(self._feed())

    def run(self) -> None:
        """Take what the hub says until the stream ends."""
        for data in self._replies:
            with self._changed:
                self._protocol.receive(decode_hub_frame(data), time.monotonic_ns())
                self._changed.notify()

    def _feed(self) -> Iterator[bytes]:
        deadline = None
        while deadline is None or time.monotonic() < deadline:
            with self._changed:
                if self._protocol.room():
                    deadline = deadline or time.monotonic() + self._seconds
                    self._advance()
                frames = self._protocol.outgoing()
                if not frames:
                    self._changed.wait(0.1)
            yield from map(encode_collector_frame, frames)
        self._protocol.bye("done")
        yield from map(encode_collector_frame, self._protocol.outgoing())

    def _advance(self) -> None:
        if self._next == BATCHES_PER_RING:
            worker = Worker("worker_1", "pool", "bench", os.getpid())
            self._ring = self._protocol.open_ring(os.urandom(16), worker, 0, {})
            self._protocol.add_names(self._ring, 0, NAMES)
            self._next = 0
        if self._protocol.is_ready(self._ring):
            before = self._next * EVENTS_PER_BATCH
            last = before + EVENTS_PER_BATCH
            payload = self._payloads[self._next]
            segment = Segment(self._ring, before, last, EVENTS_PER_BATCH, payload)
            self._protocol.send_batch([segment])
            self._next += 1


# -- the hub: this process -----------------------------------------------------


class Tally:
    """Handlers that do the least a handler can do: count.

    Each stream has a thread, and what they do here is one step of the interpreter.
    """

    def __init__(self) -> None:
        self._batches: list[int] = []
        self._counter = count()

    def batch(self, batch: EventBatch, _config: object) -> None:
        """Count a batch."""
        self._batches.append(len(batch.records))

    def event(
        self,
        _event: str,
        _measurements: Mapping[str, float],
        _metadata: Mapping[str, object],
        _config: object,
    ) -> None:
        """Count an event."""
        next(self._counter)

    def events(self) -> int:
        """Return how many events there were; once, at the end."""
        return sum(self._batches) + next(self._counter)


SCENARIOS: dict[str, Callable[[Hub, Tally], None]] = {
    "no_handler": lambda hub, tally: None,
    "batch_handler": lambda hub, tally: hub.attach_batch("t", "*", tally.batch),
    "batch_handler_filtered": lambda hub, tally: hub.attach_batch(
        "t", "*.stop", tally.batch
    ),
    "event_handler": lambda hub, tally: hub.attach("t", "tool.*", tally.event),
    "default_metrics": lambda hub, tally: hub.attach_metrics(default_metrics()),
}
# The bars of the whole line; the hub alone must not be what they fail at.
BARS = {
    "batch_handler": 1_100_000,
    "event_handler": 700_000,
    "default_metrics": 800_000,
}


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


STREAMS = {"": 1, "four streams, ": 4}


def measure(name: str, cores: list[int], streams: int) -> dict[str, float]:
    """Run one scenario once and return its numbers."""
    tally = Tally()
    with Hub("127.0.0.1:0") as hub:
        SCENARIOS[name](hub, tally)
        command = [sys.executable, __file__, "--feed", hub.address]
        command += ["--cores", ",".join(map(str, cores[1:]))]
        cpu_s = _cpu_s()
        feeders = [subprocess.Popen(command) for _ in range(streams)]
        _wait(lambda: hub.stats().streams == streams and hub.stats().delivered > 0)
        began, began_events = time.monotonic(), hub.stats().delivered
        for feeder in feeders:
            feeder.wait(_PATIENCE_S)
        wall_s, stats = time.monotonic() - began, hub.stats()
    assert tally.events() in (0, stats.delivered)
    assert _measured(hub) in (0, stats.delivered)
    assert stats.violations == stats.discarded == 0
    return {
        "events_per_s": round((stats.delivered - began_events) / wall_s),
        "hub_cpu_ns_per_event": round((_cpu_s() - cpu_s) / stats.delivered * 1e9),
    }


def _measured(hub: Hub) -> float:
    readings = [r for r in hub.measures.read() if r.metric.name == "shmtel.events"]
    return sum(tally.count for r in readings for tally in r.series.values())


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the feeder sends nothing")
        time.sleep(0.001)


def main() -> None:
    """Run all scenarios, or feed a hub."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feed", help=argparse.SUPPRESS)
    parser.add_argument("--cores", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.feed:
        if options.cores:
            os.sched_setaffinity(0, map(int, options.cores.split(",")))
        Feeder(options.feed, SECONDS).run()
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    rounds = [_round(cores) for _ in range(ROUNDS)]
    rows = [_row(name, of, rounds) for of in STREAMS for name in BARS]
    report(rows, {"rounds": rounds})


_Round = dict[str, dict[str, float]]


def _round(cores: list[int]) -> _Round:
    alone = {name: measure(name, cores, 1) for name in SCENARIOS}
    many = {of: n for of, n in STREAMS.items() if n > 1}
    return alone | {
        of + name: measure(name, cores, n) for of, n in many.items() for name in BARS
    }


def _row(name: str, of: str, rounds: list[_Round]) -> dict[str, Any]:
    rates = [run[of + name]["events_per_s"] for run in rounds]
    costs = [run[of + name]["hub_cpu_ns_per_event"] for run in rounds]
    title = f"hub alone, {of}on one core: {name.replace('_', ' ')}"
    cost = {"hub_cpu_ns_per_event": median(costs)}
    return row(title, median(rates), BARS[name], "events/s", at_least=True, **cost)


if __name__ == "__main__":
    main()
