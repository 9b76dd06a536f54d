"""Workers that a test steers over a socket, and can kill at any moment.

A nursery is one process that has imported shmtel and forks a worker whenever it
is asked to; that takes a millisecond, where a new interpreter takes fifty. A
worker answers each command when it has obeyed it. It makes its ring when it is
made, with an event of its own.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import shmtel
from shmtel import _ring, segments
from support.processes import environment, wait_until

FIRST_EVENT = "worker.made"


class Worker:
    """One forked worker; what it is told to do, it has done when a call returns."""

    def __init__(self, namespace: str, ours: socket.socket) -> None:
        self.namespace = namespace
        self._connection = Connection(ours.detach())
        self.pid: int = self._connection.recv()

    def ring_name(self) -> str:
        """Name of the segment of the ring that it has now."""
        return segments.segment_name(self.namespace, self.call("ring_id"))

    def call(self, command: str, *arguments: Any) -> Any:
        """Have it obey a command, and return its answer."""
        self.start(command, *arguments)
        return self._connection.recv()

    def start(self, command: str, *arguments: Any) -> None:
        """Have it obey a command, and do not wait."""
        self._connection.send((command, *arguments))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true, or the last command is done."""
        wait_until(lambda: condition() or self._connection.poll())

    def close(self) -> None:
        """Let it go; it ends in good order."""
        self._connection.close()

    def kill(self, ring_fd: int) -> None:
        """Kill it, and wait until its lock on the ring is gone."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: _ring.lock_holder(ring_fd) is None)
        self._connection.close()


class Nursery:
    """The process that forks workers; they all die with it."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._ours, theirs = socket.socketpair()
        variables = environment(namespace, SHMTEL_ENABLED="0")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.ring_worker", str(theirs.fileno())],
            cwd="/",  # where no source of ours shadows the installed build
            env=variables | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ours.close()
        self._process.wait()

    def fork(self, **variables: str) -> Worker:
        """Make a worker with some variables of its own."""
        ours, theirs = socket.socketpair()
        text = "\0".join(f"{name}={value}" for name, value in variables.items())
        socket.send_fds(self._ours, [text.encode() or b"\0"], [theirs.fileno()])
        theirs.close()
        return Worker(self._namespace, ours)


def _emit(events: list[tuple[Any, ...]]) -> None:
    for event in events:
        shmtel.emit(*event)


def _span(operation: str, metadata: Any, correlation_id: str, fails: bool) -> None:
    try:
        with shmtel.span(operation, metadata, correlation_id):
            if fails:
                raise ValueError("as asked")
    except ValueError:
        return


_COMMANDS = {
    "emit": _emit,
    "span": _span,
    "ring_id": lambda: _ring.own_rings()[0],
    "stats": lambda: {**shmtel.stats(), "identity": None},
}


def _work(connection: Connection) -> None:
    """Obey until the other end is closed."""
    shmtel.enable()
    shmtel.emit(FIRST_EVENT, {})
    connection.send(os.getpid())
    while True:
        try:
            command, *arguments = connection.recv()
            connection.send(_COMMANDS[command](*arguments))
        except (EOFError, OSError):
            return


def _fork_on_demand(ours: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    while True:
        text, fds, _, _ = socket.recv_fds(ours, 1 << 16, 1)
        if not fds:
            return
        if os.fork() == 0:
            ours.close()
            settings = filter(None, text.decode().split("\0"))
            os.environ.update(setting.split("=", 1) for setting in settings)
            _work(Connection(fds[0]))
            os._exit(0)
        os.close(fds[0])


if __name__ == "__main__":
    _fork_on_demand(socket.socket(fileno=int(sys.argv[1])))
