"""A worker of its own that emits what it is told to, and can be killed.

Run as a program it is the worker: each line on stdin is a command, answered by
a line on stdout when it is done. Every event carries its number, counted from 0
over the life of the worker.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType

import shmtel
from shmtel import _ring, segments
from support.home import HOME
from support.processes import environment

EVENT = "emitter.event"


class Emitter:
    """A worker process with one ring; killed at the end if it still lives."""

    def __init__(
        self, namespace: str, prefix: Sequence[str] = (), **variables: str
    ) -> None:
        """Start it, by the command `prefix` if there is one."""
        self._namespace = namespace
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "support.emitter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",  # where no source of ours shadows the installed build
            env=environment(namespace, **variables)
            | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
        )

    def __enter__(self) -> "Emitter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        """The pid of the worker."""
        return self.process.pid

    def emit(self, count: int, event: str = EVENT) -> None:
        """Have it emit some events, and wait until it has."""
        self.command(f"emit {count} {event}")

    def time_emits(self, count: int) -> tuple[int, int]:
        """Have it time each emit; return median and 99th percentile in ns."""
        median, p99 = self.command(f"time {count}").split()
        return int(median), int(p99)

    def command(self, text: str) -> str:
        """Have it obey one command, and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(text, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        assert answer, "the worker has died"
        return answer

    def ring_id(self) -> bytes:
        """Id of the ring it has now."""
        return bytes.fromhex(self.command("ring_id"))

    def ring_name(self) -> str:
        """Name of the segment of that ring."""
        return segments.segment_name(self._namespace, self.ring_id())

    def consumer(self) -> _ring.Consumer:
        """Attach to its ring."""
        return _ring.Consumer(HOME.open(self.ring_name(), writable=True))

    def kill(self) -> None:
        """Kill it with SIGKILL and bury it."""
        self.process.kill()
        self.process.wait()

    def die(self) -> None:
        """Have it kill itself, whatever its pid is to us; what started it may live."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("die", file=self.process.stdin, flush=True)
        assert self.process.stdout.read() == ""

    def leave(self) -> None:
        """Have it end in good order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def _emit(count: str, event: str) -> str:
    for _ in range(int(count)):
        shmtel.emit(event, {"number": _emitted[0]}, {"pid": os.getpid()})
        _emitted[0] += 1
    return "done"


def _time(count: str) -> str:
    times = []
    for _ in range(int(count)):
        began = time.perf_counter_ns()
        shmtel.emit(EVENT, {"number": _emitted[0]})
        times.append(time.perf_counter_ns() - began)
        _emitted[0] += 1
    times.sort()
    return f"{times[len(times) // 2]} {times[len(times) * 99 // 100]}"


def _flood() -> str:
    """Emit at full speed, pausing to breathe, until the end."""
    print("flooding", flush=True)
    while True:
        _emit("200", EVENT)
        time.sleep(0.001)


def _lose_lock() -> str:
    """Drop the proof of life, as an application does that closes descriptors."""
    for ring_id in _ring.own_rings():
        name = segments.segment_name(os.environ["SHMTEL_NAMESPACE"], ring_id)
        os.close(os.open(f"{HOME.directory}/{name}", os.O_RDONLY))
    return "done"


def _close_all() -> str:
    """Close all descriptors but the standard ones, and use the numbers again."""
    os.closerange(3, 4096)
    for number in range(20):
        file = os.memfd_create(f"file-{number}")
        os.write(file, b"theirs")
        _files[file] = os.fstat(file).st_ino
    return ",".join(map(str, _files))


def _look_at_files() -> str:
    for file, inode in _files.items():
        found = os.fstat(file)  # raises if it has been closed
        if found.st_ino != inode or os.pread(file, 100, 0) != b"theirs":
            return f"{file} is touched"
    return "untouched"


def _fork(count: str) -> str:
    """Emit in a child, and say what has become of its files."""
    if (pid := os.fork()) == 0:
        _emit(count, EVENT)
        os._exit(_look_at_files() != "untouched")
    return "untouched" if os.waitpid(pid, 0)[1] == 0 else "touched in the child"


_emitted = [0]
_files: dict[int, int] = {}  # descriptors and their inodes
_COMMANDS = {
    "die": _die,
    "emit": _emit,
    "time": _time,
    "flood": _flood,
    "lose_lock": _lose_lock,
    "close_all": _close_all,
    "files": _look_at_files,
    "fork": _fork,
    "descriptor": lambda: str(_ring.own_descriptor()),
    "ring_id": lambda: _ring.own_rings()[0].hex(),
    "emitted": lambda: str(_emitted[0]),
}

if __name__ == "__main__":
    for line in sys.stdin:
        command, *arguments = line.split()
        print(_COMMANDS[command](*arguments), flush=True)
