"""Workers that emit the same events each time, and die where they are told to.

Run as a program this forks a worker for each line of JSON that it is given, out
of a core that is built with RING_POINTS: `doomed_worker.py CORE`. The worker
says when it pauses, and goes on with the next line, so that the rings are
drained between the same two events each time. A last line tells its end.
"""

import ctypes
import importlib.util
import json
import mmap
import os
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

STEPS = 320
PAUSE_EACH = 20
RETIRED_AT = 240  # the ring, and the worker makes another one
FULL_AT = 100  # the ring is, for some large events


def _padding(step: int) -> str:
    if FULL_AT <= step < FULL_AT + 6:
        return "f" * 15_000  # four of them fill the ring
    if step % 50 == 37:
        return "l" * 20_000  # larger than a record may be
    return "x" * (step * 37 % 700)


def _kind(step: int) -> str:
    if step % 45 == 44:
        return "bad"
    if not FULL_AT <= step < FULL_AT + PAUSE_EACH:
        return "span" if step % 7 == 6 else "plain"
    return "plain" if step < FULL_AT + 6 else "none"


def events_of(step: int) -> int:
    """How many events a step emits."""
    return {"bad": 1, "span": 2, "plain": 1, "none": 0}[_kind(step)]


def _step(step: int) -> None:
    import shmtel

    kind = _kind(step)
    if kind == "bad":
        shmtel.emit("bad", {"index": "no number"})  # type: ignore[dict-item]
    elif kind == "plain":
        shmtel.emit(f"event.{step // 30}", {"index": step}, {"text": _padding(step)})
    elif kind == "span":
        with suppress(LookupError), shmtel.span(f"op.{step // 100}", {"step": step}):
            if step % 3 == 0:
                raise LookupError(step)


def _pause(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


class _Totals:
    """What the worker has committed and dropped, in all its rings."""

    def __init__(self) -> None:
        self._ring_id: str | None = None
        self._before = self._now = (0, 0)

    def look(self) -> tuple[int, int]:
        import shmtel

        stats = shmtel.stats()
        if stats["ring_id"] != self._ring_id:
            self._ring_id = stats["ring_id"]
            self._before = (
                self._before[0] + self._now[0],
                self._before[1] + self._now[1],
            )
        self._now = stats["committed"], sum(stats["dropped"].values())
        return self._before[0] + self._now[0], self._before[1] + self._now[1]


def _work(returned: memoryview, is_watched: bool) -> list[tuple[int, int]]:
    """Run to the end; return the totals after each step, if it is watched.

    To look at them is not nothing: the worker then looks at the head as well.
    """
    import shmtel

    shmtel.enable()
    totals, history = _Totals(), [(0, 0)]
    for step in range(STEPS):
        if step % PAUSE_EACH == 0:
            _pause("retire" if step == RETIRED_AT else "pause")
        _step(step)
        returned[0] = step + 1
        if is_watched:
            history.append(totals.look())
    return history


def _passages(points: ctypes.CDLL) -> dict[str, int]:
    points.ring_points_name.restype = ctypes.c_char_p
    points.ring_points_passages.restype = ctypes.c_uint64
    passages = {}
    for index in range(64):
        name = points.ring_points_name(index)
        if name is not None:
            passages[name.decode()] = points.ring_points_passages(index)
    return passages


def _run_worker(task: dict[str, Any], points: ctypes.CDLL, memory: memoryview) -> None:
    os.environ["SHMTEL_NAMESPACE"] = task["namespace"]
    os.environ["SHMTEL_RING_SIZE"] = "64KiB"
    os.environ["SHMTEL_OVERFLOW"] = task["overflow"]
    points.ring_points_arm(task["point"].encode(), ctypes.c_uint64(task["passage"]))
    history = _work(memory, task["is_watched"])
    said = {"history": history, "passages": _passages(points)}
    print("said " + json.dumps(said), flush=True)
    os._exit(0)


def _load_core(path: str) -> ModuleType:
    """Import the core that is built with points, in place of the installed one."""
    spec = importlib.util.spec_from_file_location("shmtel._ring", path)
    assert spec is not None
    assert spec.loader is not None
    core = importlib.util.module_from_spec(spec)
    sys.modules["shmtel._ring"] = core
    spec.loader.exec_module(core)
    return core


def main(core: str) -> None:
    """Fork a worker for each line of the input, and tell how it ended."""
    made = _load_core(core)
    import shmtel.config
    import shmtel.identities
    import shmtel.plain
    import shmtel.resource
    import shmtel.segments
    import shmtel.spans

    assert shmtel.emit is made.emit
    points = ctypes.CDLL(core)
    memory = memoryview(mmap.mmap(-1, 8)).cast("Q")
    while line := sys.stdin.readline():
        memory[0] = 0
        pid = os.fork()
        if pid == 0:
            _run_worker(json.loads(line), points, memory)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(f"ended {code} {memory[0]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
