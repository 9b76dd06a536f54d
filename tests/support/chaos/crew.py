"""The workers of a run: as many as the plan says, for as long as it goes on.

Each has a life of its own length and ends in one of the ways a worker can: asked
to, with or without a farewell, or killed. Then another one takes its place, under
a name that was never used.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from support.chaos.actor import state_of
from support.chaos.calls import call_files, read_pid
from support.chaos.plan import DROP, Plan, WorkerKind
from support.chaos.worker import Task

_PATIENCE_S = 30.0


@dataclass(slots=True)
class _Member:
    process: subprocess.Popen[bytes]
    ends_at: float
    is_asked: bool = False


class Crew:
    """Starts workers and ends them."""

    def __init__(
        self, plan: Plan, directory: Path, environment: dict[str, str]
    ) -> None:
        self._plan = plan
        self._draws = Random(f"crew/{plan.seed}")
        self._directory = directory
        self._environment = environment
        self._members: list[_Member] = []
        self._started = 0
        self._waking: dict[int, float] = {}
        self.codes: list[int] = []

    def look(self, is_open: bool = True) -> None:
        """Replace those that have ended, and end those whose time has come."""
        now = time.monotonic()
        for member in list(self._members):
            code = member.process.poll()
            if code is not None:
                self.codes.append(code)
                self._members.remove(member)
            elif now >= member.ends_at and not member.is_asked:
                member.is_asked = True
                self._end(member)
        for pid, at in list(self._waking.items()):
            if now >= at:
                del self._waking[pid]
                self._signal(pid, signal.SIGCONT)
        while is_open and len(self._members) < self._plan.workers:
            self._start(now)

    def kill_one(self) -> bool:
        """Kill a worker, or a child of one; say whether there was any."""
        pids = list(self._pids())
        return bool(pids) and self._signal(self._draws.choice(pids), signal.SIGKILL)

    def stop_one(self, seconds: float) -> bool:
        """Stop a worker for a while; say whether there was any."""
        pids = [pid for pid in self._pids() if pid not in self._waking]
        if not pids:
            return False
        pid = self._draws.choice(pids)
        self._waking[pid] = time.monotonic() + seconds
        return self._signal(pid, signal.SIGSTOP)

    def dismiss(self) -> None:
        """Have all of them end, and wait for that; their children too."""
        for pid in list(self._waking):
            self._signal(pid, signal.SIGCONT)
        self._waking.clear()
        for member in self._members:
            member.process.terminate()
        for pid in self._pids():
            self._signal(pid, signal.SIGTERM)
        for member in self._members:
            self.codes.append(member.process.wait(_PATIENCE_S))
        self._members.clear()
        deadline = time.monotonic() + _PATIENCE_S
        while list(self._pids()):
            assert time.monotonic() < deadline, "a child of a worker does not end"
            time.sleep(0.01)

    def close(self) -> None:
        """Kill what is left."""
        for pid in self._pids():
            self._signal(pid, signal.SIGKILL)
        for member in self._members:
            member.process.kill()
            member.process.wait()

    def run_one(self, name: str, calls: int) -> None:
        """Have one more worker do so many calls, to its end."""
        kind = replace(self._plan.kinds[0], ring_size="1MiB", overflow=DROP)
        task = self._task(name, kind, calls=calls)
        self._spawn(task, kind).wait(_PATIENCE_S)

    def _start(self, now: float) -> None:
        self._started += 1
        kind = self._draws.choice(self._plan.kinds)
        task = self._task(f"w{self._started}", kind)
        lifetime_s = self._draws.uniform(*self._plan.lifetimes_s)
        process = self._spawn(task, kind)
        self._members.append(_Member(process, now + lifetime_s))

    def _task(self, name: str, kind: WorkerKind, **fields: int) -> Task:
        return Task(
            worker=name,
            seed=self._plan.seed,
            directory=str(self._directory),
            bursts=kind.bursts,
            pause_s=kind.pause_s,
            largest_text=kind.largest_text,
            fork_share=kind.fork_share,
            leaves=self._draws.choice(("exit", "exit", "_exit")),
            **fields,
        )

    def _spawn(self, task: Task, kind: WorkerKind) -> subprocess.Popen[bytes]:
        settings = {
            "SHMTEL_ENABLED": "1",
            "SHMTEL_RING_SIZE": kind.ring_size,
            "SHMTEL_OVERFLOW": kind.overflow,
        }
        with (self._directory / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "support.chaos.worker", task.to_json()],
                env=self._environment | settings,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _end(self, member: _Member) -> None:
        if self._draws.random() < 0.3:
            member.process.kill()
        else:
            member.process.terminate()

    def _pids(self) -> Iterator[int]:
        """Yield the processes of all workers that are there, children included."""
        for path in call_files(self._directory):
            pid = read_pid(path)
            if pid and is_ours(pid, self._directory):
                yield pid

    def _signal(self, pid: int, number: int) -> bool:
        if not is_ours(pid, self._directory):
            return False
        os.kill(pid, number)
        return True


def is_ours(pid: int, directory: Path) -> bool:
    """Say whether a process is a worker of the run, and not what came after it."""
    if state_of(pid) in ("", "Z", "X"):
        return False
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return json.dumps(str(directory)).encode() in line
