"""`shmtel tail` on the rings of real workers, and of hostile ones."""

import hashlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shmtel import _ring, segments
from support.emitter import Emitter
from support.home import HOME
from support.processes import run_python, wait_until
from support.program import (
    PROGRAM,
    clean_environment,
    shmtel,
    start_shmtel,
    stopped_at_exit,
)
from support.ring_builder import RingBuilder

StartWorker = Callable[..., Emitter]


@pytest.fixture
def start_worker(namespace: str) -> Iterator[StartWorker]:
    """Start workers in the namespace; they end with the test."""
    with ExitStack() as stack:
        yield lambda **variables: stack.enter_context(Emitter(namespace, **variables))


class Tail:
    """A `shmtel tail` that goes on, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        for stream, lines in ((process.stdout, self.out), (process.stderr, self.err)):
            threading.Thread(target=lines.extend, args=(stream,), daemon=True).start()

    def wait_lines(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many lines of JSON."""
        wait_until(lambda: len(self.out) >= count)
        return [json.loads(line) for line in self.out]


@pytest.fixture
def tail(namespace: str) -> Iterator[Callable[..., Tail]]:
    """Start tails of the namespace, each from the first event that comes now."""
    with ExitStack() as stack:

        def start(*arguments: str) -> Tail:
            place = ("--json", "--namespace", namespace)
            process = start_shmtel("tail", *arguments, *place)
            return Tail(stack.enter_context(stopped_at_exit(process)))

        yield start


def _dump(namespace: str, *arguments: str) -> list[dict[str, Any]]:
    result = shmtel("tail", "-d", "--json", "--namespace", namespace, *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def _numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["measurements"]["number"] for event in events]


def test_what_is_in_the_rings(namespace: str, start_worker: StartWorker) -> None:
    """Every event of every worker, in the order of their times, without a collector."""
    first = start_worker(SHMTEL_WORKER_ID="w.1")
    second = start_worker(SHMTEL_WORKER_ID="w.2")
    for _ in range(3):
        first.emit(2, "a.b")
        second.emit(1, "c.d")
    events = _dump(namespace)
    names = ["a.b", "a.b", "c.d"] * 3
    assert [event["event"] for event in events] == names
    times = [event["timestamp_ns"] for event in events]
    assert times == sorted(times)
    assert {event["worker_id"] for event in events} == {"w.1", "w.2"}
    assert _numbers(_dump(namespace, "--worker", "*.1")) == list(range(6))
    assert len(_dump(namespace, "c.*")) == 3
    assert len(_dump(namespace, "c.*", "a.?")) == 9
    assert _numbers(_dump(namespace, "a.b", "-n", "2")) == [4, 5]


def test_the_rings_of_dead_workers(namespace: str, start_worker: StartWorker) -> None:
    """What a killed worker, and one that ended, have left is there."""
    killed, ended = start_worker(), start_worker()
    killed.emit(3)
    ended.emit(2)
    killed.kill()
    ended.leave()
    assert len(_dump(namespace)) == 5


def test_an_event_has_all_of_it(namespace: str) -> None:
    """Ids of spans, correlation, measurements, metadata and who wrote it."""
    run_python(
        "import shmtel\n"
        "with shmtel.span('job', {'k': 'v w'}, 'c-1'):\n"
        "    shmtel.emit('x.y', {'n': 1.5}, {'list': [1, {'b': b'\\xff'}]})\n",
        namespace,
        SHMTEL_WORKER_ID="w-1",
        SHMTEL_POOL_NAME="pool",
    )
    start, event, stop = _dump(namespace)
    assert [start["event"], stop["event"]] == ["job.start", "job.stop"]
    assert start["span_id"] == stop["span_id"] == event["parent_id"]
    assert event["span_id"] is None
    assert event["measurements"] == {"n": 1.5}
    assert event["metadata"] == {"list": [1, {"b": "/w=="}]}
    assert [item["correlation_id"] for item in (start, event)] == ["c-1", "c-1"]
    assert (event["worker_id"], event["pool_name"]) == ("w-1", "pool")
    assert (event["seq"], event["sampling_probability"]) == (2, 1.0)
    lines = shmtel("tail", "-d", "--namespace", namespace).stdout.splitlines()
    assert " w-1 job.start " in lines[0]
    assert 'k="v w" correlation_id=c-1' in lines[0]
    assert lines[0].endswith(f" span={start['span_id']}")
    assert lines[1].endswith(f"correlation_id=c-1 parent={start['span_id']}")


def test_events_as_they_come(
    start_worker: StartWorker, tail: Callable[..., Tail]
) -> None:
    """Live ones, and those of workers that come later from their first event on."""
    worker = start_worker()
    worker.emit(5)
    following = tail("-n", "2")
    assert _numbers(following.wait_lines(2)) == [3, 4]
    worker.emit(2)
    assert _numbers(following.wait_lines(4)) == [3, 4, 5, 6]
    start_worker(SHMTEL_WORKER_ID="late").emit(2)
    late = following.wait_lines(6)[4:]
    assert [event["worker_id"] for event in late] == ["late", "late"]
    assert following.err == []


def test_rings_that_are_gone_are_let_go(
    namespace: str, start_worker: StartWorker, tail: Callable[..., Tail]
) -> None:
    """Their last events are shown, and their memory is given back."""
    worker = start_worker()
    worker.emit(1)
    following = tail()
    following.wait_lines(1)
    name = worker.ring_name()

    def held() -> list[str]:
        directory = Path(f"/proc/{following.process.pid}/fd")
        links = [os.readlink(link) for link in directory.iterdir()]
        return [link for link in links if name in link]

    assert held()
    following.process.send_signal(signal.SIGSTOP)
    worker.emit(3)
    worker.kill()
    HOME.unlink(name)
    following.process.send_signal(signal.SIGCONT)
    assert _numbers(following.wait_lines(4)) == [0, 1, 2, 3]
    wait_until(lambda: not held())


def test_what_came_too_late_is_counted(
    start_worker: StartWorker, tail: Callable[..., Tail]
) -> None:
    """Beside a collector a slow tail misses events, and says how many."""
    worker = start_worker(SHMTEL_RING_SIZE="64KiB")
    worker.emit(1)
    following = tail()
    following.wait_lines(1)
    consumer = worker.consumer()
    following.process.send_signal(signal.SIGSTOP)
    for _ in range(40):
        worker.emit(100)
        while (drained := consumer.drain(1 << 20)) is not None:
            totals = [drained.seq_last] + [0] * 31
            consumer.settle(drained.position, drained.seq_last, totals)
    following.process.send_signal(signal.SIGCONT)
    worker.emit(1)
    numbers = _numbers(wait_until(lambda: _until_last(following, 4001)))
    wait_until(lambda: following.err)
    missed = int(following.err[0].split()[2])
    assert missed > 0
    assert len(numbers) + missed == 4002
    assert numbers == sorted(set(numbers))
    consumer.close()


def _until_last(following: Tail, number: int) -> list[dict[str, Any]] | None:
    events = [json.loads(line) for line in list(following.out)]
    last = events[-1]["measurements"]["number"]
    return events if last == number else None


def test_nobody_notices_it(
    namespace: str, start_worker: StartWorker, tail: Callable[..., Tail]
) -> None:
    """The bytes of the ring and its locks are as before, a collector can come."""
    worker = start_worker()
    worker.emit(100)
    path = Path(HOME.directory, worker.ring_name())
    before = hashlib.sha256(path.read_bytes()).digest()
    times = (path.stat().st_mtime_ns, path.stat().st_size)
    following = tail("-n", "100")
    following.wait_lines(100)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert (path.stat().st_mtime_ns, path.stat().st_size) == times
    consumer = worker.consumer()
    assert _ring.lock_holder(consumer.fileno()) == worker.pid
    drained = consumer.drain(1 << 20)
    assert drained is not None
    assert drained.delivered == 100
    consumer.close()


def test_hostile_events_do_not_reach_the_terminal(namespace: str) -> None:
    """No control character, in whatever part of an event, in text or in JSON."""
    evil = "\x1b]0;owned\x07\r\n\x9b2J\u202e"
    with RingBuilder(namespace=namespace, resource={"worker_id": "w"}) as ring:
        ring.add_name(f"name{evil}")
        metadata = {evil: evil, "nested": {evil: [evil]}, "bytes": evil.encode()}
        ring.append(0, evil, {evil: float("nan"), "inf": float("inf")}, metadata)
        for arguments in ((), ("--json",)):
            result = shmtel("tail", "-d", "--namespace", namespace, *arguments)
            (line,) = result.stdout.splitlines()
            assert line.isprintable()
            assert result.stderr == ""
    document = json.loads(line)
    assert document["event"] == f"name{evil}"
    assert document["measurements"] == {evil: None, "inf": None}


def test_damaged_rings_are_named_and_the_others_go_on(
    namespace: str, start_worker: StartWorker
) -> None:
    """Foreign bytes, records that are none, and a good ring beside them."""
    start_worker().emit(2)
    foreign = Path(HOME.directory, segments.segment_name(namespace, bytes(16)))
    foreign.write_bytes(b"stlring1" + b"\xff" * 300_000)
    with RingBuilder(namespace=namespace, resource={"worker_id": "bad"}) as bad:
        bad.append_array(b"\xff" * 40)
        bad.append_array(b"\x00" * 64, length=1 << 30)
        result = shmtel("tail", "-d", "--json", "--namespace", namespace)
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 2
    assert f"{foreign.name} is not read" in result.stderr
    assert "1 records of bad are no events" in result.stderr
    assert "Traceback" not in result.stderr


def test_it_ends_with_ctrl_c(
    start_worker: StartWorker, tail: Callable[..., Tail]
) -> None:
    """That is how it ends, not a failure."""
    start_worker().emit(1)
    following = tail()
    following.wait_lines(1)
    following.process.send_signal(signal.SIGINT)
    assert following.process.wait(10) == 0
    assert following.err == []


def test_it_ends_when_its_reader_leaves(
    namespace: str, start_worker: StartWorker
) -> None:
    """As `head` does when it has enough."""
    worker = start_worker()
    worker.emit(1)
    reader, writer = os.pipe()
    following = subprocess.Popen(
        [PROGRAM, "tail", "--namespace", namespace],
        env=clean_environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    with stopped_at_exit(following):
        assert os.read(reader, 1)
        os.close(reader)
        worker.emit(1)
        _, stderr = following.communicate(timeout=10)
    assert (following.returncode, stderr) == (0, "")


def test_nothing_to_show(namespace: str) -> None:
    """A namespace without rings is an empty answer."""
    assert _dump(namespace) == []
