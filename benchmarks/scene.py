"""One case on the stage: its sink, and its producers, all of them fresh processes.

Producers warm up, all begin at once, and the scene tells when the last event had
arrived. A count is final when it is what was sent, or when it has not moved for
two seconds.
"""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import processes
from producer import WARM_UP
from rivals.cases import CASES

_HERE = Path(__file__).parent
_QUIET_S = 2.0
_numbers = iter(range(1_000_000))


class Scene:
    """A context in which a case can be measured once.

    Args:
        name: of the case.
        mode: what the producers measure, see producer.py.
        size: events of each, or seconds.
        workers: how many producers.
    """

    def __init__(self, name: str, mode: str, size: int, workers: int = 1) -> None:
        self.case = CASES[name]
        self._name, self._mode, self._size = name, mode, size
        self._workers = workers
        self._stack = ExitStack()
        self._sink: Any = None
        self._pids: list[int] = []
        self._producers: list[Any] = []

    def __enter__(self) -> "Scene":
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        address = directory = stack.enter_context(tempfile.TemporaryDirectory())
        namespace = f"bench-{os.getpid()}-{next(_numbers)}"
        stack.callback(remove_rings, namespace)
        variables = {"SHMTEL_NAMESPACE": namespace}
        if self.case.is_served:
            sink = str(_HERE / "sink.py"), self._name, directory
            self._sink = stack.enter_context(processes.running(*sink, **variables))
            address, pids = processes.hear(self._sink)
            self._pids = [self._sink.pid, *pids]
        variables |= self.case.environment
        command = str(_HERE / "producer.py"), self._name, self._mode, str(self._size)
        for _ in range(self._workers):
            self._producers.append(
                stack.enter_context(processes.running(*command, address, **variables))
            )
        for producer in self._producers:
            processes.hear(producer)

    def measure(self) -> dict[str, Any]:
        """Let the producers do their work; return what they and the sink say."""
        each = self.case.events
        before = self._final_count(WARM_UP * self._workers * each)[0]
        cpu = [processes.cpu_ns(pid) for pid in self._pids]
        begin = time.monotonic()
        for producer in self._producers:
            processes.tell(producer)
        results = [processes.hear(producer) for producer in self._producers]
        ended = time.monotonic()
        emitted = sum(result["emitted"] for result in results)
        known = [result.get("known_dropped") for result in results]
        known_dropped = None if None in known else sum(filter(None, known))
        if self._sink is None:
            kept = sum(result["kept"] for result in results)
        else:
            expected = before + emitted * each - (known_dropped or 0)
            total, ended = self._final_count(expected)
            kept = (total - before) // max(each, 1)
        after = [processes.cpu_ns(pid) for pid in self._pids]
        for producer in self._producers:
            processes.tell(producer)
        return {
            "emitted": emitted,
            "kept": kept,
            "dropped": emitted - kept,
            "known_dropped": known_dropped,
            "seconds": round(ended - begin, 3),
            "sink_cpu_ns": sum(after) - sum(cpu),
            "producers": results,
        }

    def _final_count(self, expected: int) -> tuple[int, float]:
        """Return the sink's count once it is final, and when it became so."""
        if self._sink is None:
            return 0, time.monotonic()
        count, changed = -1, time.monotonic()
        while time.monotonic() < changed + _QUIET_S:
            if (now := processes.ask(self._sink)) != count:
                count, changed = now, time.monotonic()
            if count == expected:
                break
            time.sleep(0.002)
        return count, changed


def measure(name: str, mode: str, size: int, workers: int = 1) -> dict[str, Any]:
    """Measure a case once.

    Raises:
        AssertionError: shmtel has not accounted for every event; the run is void.
    """
    with Scene(name, mode, size, workers) as scene:
        result = scene.measure()
    if scene.case.module == "shmtel_line" and result["known_dropped"] is not None:
        missing = result["dropped"] * scene.case.events - result["known_dropped"]
        assert missing == 0, f"{name}: {missing} events are unaccounted: {result}"
    return result


def remove_rings(namespace: str) -> None:
    """Remove what killed processes left of a namespace."""
    from shmtel import segments

    for name in segments.POSIX.scan(namespace):
        segments.POSIX.unlink(name)
