"""Collector or hub in a run: one life after the other, each prepared by the plan.

Rules:
- an end that nobody brought about is remembered with its code: it is judged;
- a program that has stopped itself at a point is woken again.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.chaos.plan import Life
from support.chaos.points import is_in_core
from support.chaos.program import Preparation

_UNPREPARED = Life((), (), 0.0, 0.0)
_STOPPED = "T"
_ENDS = (0, -signal.SIGKILL, -signal.SIGTERM)  # the last where it was not up yet


@dataclass(frozen=True, slots=True)
class End:
    """How a life ended."""

    program: str
    life: int
    code: int
    at_ns: int
    is_wanted: bool


class Actor:
    """Runs one program."""

    def __init__(
        self,
        program: str,
        directory: Path,
        core: Path,
        arguments: Sequence[str],
        environment: dict[str, str],
        lives: Sequence[Life],
        sabotages: Sequence[str] = (),
    ) -> None:
        self.program = program
        self.ends: list[End] = []
        self.strikes_in_core: list[str] = []  # which write nothing down themselves
        self.life = 0
        self._directory = directory
        self._core = core
        self._arguments = arguments
        self._environment = environment
        self._lives = lives
        self._sabotages = tuple(sabotages)
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = _UNPREPARED
        self._is_asked = False  # to end, by whomever
        self._start_at = 0.0
        self._wake_at: float | None = None
        self.is_calm = False

    def look(self) -> None:
        """Start it where it is due, and notice that it has ended or stopped."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self._start()
            return
        code = self._process.poll()
        if code is not None:
            self._note_end(code, now)
        elif self._wake_at is None and state_of(self._process.pid) == _STOPPED:
            self._wake_at = now + self._prepared.hold_s
        elif self._wake_at is not None and now >= self._wake_at:
            self.wake()

    def kill(self) -> bool:
        """End it as the kernel would; say whether there was one."""
        return self._end(lambda process: process.kill())

    def ask_to_end(self) -> bool:
        """Have it end in good order; say whether there was one."""
        return self._end(lambda process: process.terminate())

    def freeze(self, seconds: float) -> bool:
        """Stop it for a while; say whether there was one."""
        if self._process is None:
            return False
        self._process.send_signal(signal.SIGSTOP)
        self._wake_at = time.monotonic() + seconds
        return True

    def wake(self) -> None:
        """Let it go on."""
        self._wake_at = None
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def calm(self) -> None:
        """No more faults: wake it; from now on it starts unprepared and at once."""
        self.is_calm = True
        self._start_at = 0.0
        self.wake()

    def finish(self, seconds: float) -> None:
        """End it in good order for good, or kill it."""
        if self.ask_to_end():
            assert self._process is not None
            try:
                code = self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._is_asked = False  # it should have ended
                self._process.send_signal(signal.SIGUSR1)
                time.sleep(1)
                self._process.kill()
                code = self._process.wait()
            self._note_end(code, time.monotonic())

    def close(self) -> None:
        """Kill what is left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_path(self) -> Path:
        """Return where its lines go, life after life."""
        return self._directory / f"{self.program}.log"

    def _end(self, act: Callable[[subprocess.Popen[bytes]], object]) -> bool:
        if self._process is None:
            return False
        self._is_asked = True
        act(self._process)
        self.wake()
        return True

    def _next(self) -> Life:
        if self.is_calm or self.life >= len(self._lives):
            return _UNPREPARED
        return self._lives[self.life]

    def _start(self) -> None:
        prepared = self._prepared = self._next()
        self.life += 1
        self._is_asked, self._wake_at = False, None
        preparation = Preparation(
            program=self.program,
            life=self.life,
            directory=str(self._directory),
            core=str(self._core),
            arms=prepared.arms,
            jumps=prepared.jumps,
            sabotages=self._sabotages,
        )
        with self.log_path().open("ab") as log:
            log.write(f"-- life {self.life}: {prepared}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "support.chaos.program"),
                    *(preparation.to_json(), *self._arguments),
                ],
                env=self._environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _note_end(self, code: int, now: float) -> None:
        arms = self._prepared.arms
        is_wanted = (self._is_asked or bool(arms)) and code in _ENDS
        if code == -signal.SIGKILL and not self._is_asked:
            self.strikes_in_core += [arm.point for arm in arms if is_in_core(arm)]
        at_ns = time.monotonic_ns()
        self.ends.append(End(self.program, self.life, code, at_ns, is_wanted))
        self._process = None
        self._start_at = now + (0.0 if self.is_calm else self._prepared.pause_s)


def state_of(pid: int) -> str:
    """Return the letter of a process's state; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""
