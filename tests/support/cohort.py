"""Workers forked from one program, which do what they are told.

Run as a program it is their parent: for each line on stdin it forks a child
with those variables. The child connects to the test's socket and obeys: each
line is a command, answered by a line when it is done.
"""

import faulthandler
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import shmtel
from support.acts import Act
from support.processes import environment

_PATIENCE_S = 30


class Member:
    """A worker of a cohort, seen from the test."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rw")
        connection.close()
        self.pid: int = self.answer()

    def tell(self, command: str, *arguments: Any) -> None:
        """Give a command without waiting for its end."""
        self._file.write(json.dumps([command, *arguments]) + "\n")
        self._file.flush()

    def answer(self) -> Any:
        """Wait for the answer to the last command."""
        line = self._file.readline()
        assert line, "the worker has died"
        return json.loads(line)

    def ask(self, command: str, *arguments: Any) -> Any:
        """Give a command and wait for its answer."""
        self.tell(command, *arguments)
        return self.answer()

    def do(self, acts: Sequence[Act]) -> None:
        """Have it act; the answer is the ids of its outermost spans."""
        self.tell("do", [asdict(act) for act in acts])

    def leave(self) -> None:
        """Have it end in good order."""
        self._file.close()


class Cohort:
    """The parent of the workers; it and they end with the context."""

    def __init__(self, namespace: str, directory: Path, **variables: str) -> None:
        path = f"\0shmtel-{secrets.token_hex(8)}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._listener.settimeout(_PATIENCE_S)
        self.members: list[Member] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.cohort", path[1:]],
            stdin=subprocess.PIPE,
            text=True,
            cwd=directory,  # where no source of ours shadows the installed build
            env=environment(namespace, **variables)
            | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        )

    def __enter__(self) -> "Cohort":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        self._listener.close()
        try:
            self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # it says where it hangs
            raise

    def fork(self, **variables: str) -> Member:
        """Have one more worker, with variables of its own."""
        assert self._process.stdin is not None
        print(json.dumps(variables), file=self._process.stdin, flush=True)
        connection, _ = self._listener.accept()
        connection.settimeout(_PATIENCE_S)
        self.members.append(Member(connection))
        return self.members[-1]

    def leave(self) -> None:
        """Have all workers end in good order."""
        while self.members:
            self.members.pop().leave()


# -- in the worker ------------------------------------------------------------


class _Failure(Exception):
    """What ends a span that is to fail."""


class _Worker:
    """What a worker can be told to do."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._roots: dict[int, str] = {}

    def do(self, acts: list[dict[str, Any]]) -> dict[int, str]:
        """Act, and return the ids of the outermost spans."""
        self._roots.clear()
        for act in acts:
            self._act(act, is_outermost=True)
        return self._roots

    def _act(self, act: Mapping[str, Any], is_outermost: bool = False) -> None:
        metadata, correlation_id = {"n": act["number"]}, act["correlation_id"] or None
        if not act["is_span"]:
            shmtel.emit(act["name"], {}, metadata, correlation_id)
            return
        try:
            with shmtel.span(act["name"], metadata, correlation_id) as span:
                if is_outermost:
                    self._roots[act["number"]] = span.span_id
                for inner in act["inside"]:
                    self._act(inner)
                if act["fails"]:
                    raise _Failure
        except _Failure:
            pass

    def load(
        self, seed: int, names: list[str], operations: list[str]
    ) -> dict[str, list[Any]]:
        """Emit and open spans until the next command; return all that was done.

        Correlation IDs are shared: all workers with these names take the same
        ones at the same time, and use each for a while.
        """
        draws, number = Random(seed), 0
        events: list[Any] = []
        spans: list[Any] = []
        while not select.select([self._connection], [], [], draws.random() / 1000)[0]:
            for _ in range(draws.randrange(20)):
                number += 1
                shared = f"shared-{int(_now() * 10)}-{draws.randrange(16)}"
                correlation_id = shared if draws.random() < 0.7 else None
                name = draws.choice(names)
                events.append((number, name, correlation_id))
                shmtel.emit(name, {}, {"n": number}, correlation_id)
            number += 1
            operation = draws.choice(operations)
            correlation_id = f"span-{seed}-{number // 8}" if number % 3 else None
            spans.append((number, operation, correlation_id))
            self._span(draws, operation, number, correlation_id)
        return {"events": events, "spans": spans}

    def _span(
        self, draws: Random, operation: str, number: int, correlation_id: str | None
    ) -> None:
        try:
            with shmtel.span(operation, {"n": number}, correlation_id):
                with shmtel.span(operation + ".inner", {"n": number}):
                    select.select([], [], [], draws.random() ** 4 / 10)
                if draws.random() < 0.2:
                    raise _Failure
        except _Failure:
            pass

    def stats(self) -> Any:
        """Return the counts of the process."""
        counts = shmtel.stats()
        return {
            key: counts[key]  # type: ignore[literal-required]
            for key in (
                *("emitted", "committed", "sampled_out", "filtered", "disabled"),
                *("dropped", "ring_id"),
            )
        }


def _now() -> float:
    import time

    return time.monotonic()


def _serve(path: str, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    file = connection.makefile("rw")
    worker = _Worker(connection)
    answer: Any = os.getpid()
    while True:
        file.write(json.dumps(answer) + "\n")
        file.flush()
        line = file.readline()
        if not line:
            return
        command, *arguments = json.loads(line)
        answer = getattr(worker, command)(*arguments)
        if command == "load":
            file.readline()  # it was told to rest


def _main(path: str) -> None:
    faulthandler.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in iter(sys.stdin.readline, ""):
        if os.fork() == 0:
            _serve(path, json.loads(line))
            sys.exit()


if __name__ == "__main__":
    _main(f"\0{sys.argv[1]}")
