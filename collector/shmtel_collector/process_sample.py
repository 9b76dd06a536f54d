"""What a process takes of its host, read by psutil.

A pid says nothing for long: by the time it is looked at it may be another process's.
So its start is read once more after everything else. A process cannot get its pid
back, so if the one we mean has it then, it had it all the time. Of a corpse nothing
is told: its memory is gone already.

Rules: runs in a thread of its own, and knows nothing of rings; nothing is raised out
of that thread, whatever somebody's /proc makes of psutil.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import psutil

from shmtel import procfs

OWNER, DENIED, FAILED = "owner", "denied", "failed"
_SECOND_NS = 1_000_000_000

Values = dict[str, int]


@dataclass(frozen=True, slots=True)
class Target:
    """A process to look at.

    Attributes:
        start_time: in clock ticks after boot.
        uid: whose it is, as its ring says.
    """

    process: bytes
    pid: int
    start_time: int
    uid: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read of a process.

    Attributes:
        taken_ns: by the monotonic clock.
        unavailable: why something is missing; empty: nothing is.
    """

    target: Target
    taken_ns: int
    values: Mapping[str, int]
    unavailable: str = ""


class Sampler:
    """Reads what is asked for, and nothing else."""

    def __init__(self, measurements: Iterable[str]) -> None:
        """Prepare; each name is one of MEASUREMENTS."""
        wanted = frozenset(measurements)
        self._names = wanted | ({"user", "system"} if "percent" in wanted else set())
        self._readers = [read for names, read in _READERS if self._names & names]

    def sample(self, targets: Iterable[Target]) -> list[Sample]:
        """Look at processes, and leave out those that are gone."""
        samples = (self._sample(target) for target in targets)
        return [sample for sample in samples if sample is not None]

    def _sample(self, target: Target) -> Sample | None:
        values: Values = {}
        unavailable = ""
        try:
            process = psutil.Process(target.pid)
            with process.oneshot():
                taken_ns = time.monotonic_ns()
                if process.uids().effective != target.uid:
                    return self._unless_gone(Sample(target, taken_ns, {}, OWNER))
                for read in self._readers:
                    try:
                        values |= read(process)
                    except psutil.AccessDenied:
                        unavailable = DENIED
                    except psutil.NoSuchProcess:
                        raise
                    except Exception:  # a file or a line that Linux has elsewhere
                        unavailable = FAILED
        except psutil.NoSuchProcess:
            return None
        except Exception:
            return self._unless_gone(Sample(target, 0, {}, FAILED))
        chosen = {name: n for name, n in values.items() if _asked(name) in self._names}
        return self._unless_gone(Sample(target, taken_ns, chosen, unavailable))

    def _unless_gone(self, sample: Sample) -> Sample | None:
        target = sample.target
        return sample if procfs.lives_since(target.pid, target.start_time) else None


def _memory(process: psutil.Process) -> Values:
    memory = process.memory_info()
    return {"rss": memory.rss, "vms": memory.vms, "shared": memory.shared}


def _memory_in_full(process: psutil.Process) -> Values:
    memory = process.memory_full_info()
    return {"uss": memory.uss, "pss": memory.pss, "swap": memory.swap}


def _times(process: psutil.Process) -> Values:
    times = process.cpu_times()
    return {
        "user": round(times.user * _SECOND_NS),
        "system": round(times.system * _SECOND_NS),
    }


def _switches(process: psutil.Process) -> Values:
    switches = process.num_ctx_switches()
    return {
        "context_switches_voluntary": switches.voluntary,
        "context_switches_involuntary": switches.involuntary,
    }


def _asked(name: str) -> str:
    return _SWITCHES if name.startswith(_SWITCHES) else name


_SWITCHES = "context_switches"
_READERS: tuple[tuple[frozenset[str], Callable[[psutil.Process], Values]], ...] = (
    (frozenset({"rss", "vms", "shared"}), _memory),
    (frozenset({"uss", "pss", "swap"}), _memory_in_full),
    (frozenset({"user", "system"}), _times),
    (frozenset({"threads"}), lambda process: {"threads": process.num_threads()}),
    (frozenset({"descriptors"}), lambda process: {"descriptors": process.num_fds()}),
    (frozenset({_SWITCHES}), _switches),
)
