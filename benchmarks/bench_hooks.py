"""What the hook of the garbage collector costs, against none and an empty one.

- a collection of the youngest generation that finds nothing to look at, so that
  the hook and its event are all there is: against an empty Python call-back;
- a loop that does nothing but allocate, with a collection every 700 allocations:
  against the same loop without a hook.

The ring overwrites, so that every event is recorded. The best rounds are compared:
what others do to the machine is not the hook's.
"""

import gc
import os
from collections.abc import Callable

from measure import interleave, report, row, size, summary

ROUNDS = size(300, 3)
OPERATIONS = size(10_000, 500)
KEPT = 5000  # objects that live when a collection comes, at most


def _ignore(_phase: str, _info: dict[str, int]) -> None:
    pass


def _collect(operations: int) -> None:
    gc.disable()
    for _ in range(operations // 25):
        gc.collect(0)
    gc.enable()


def _allocate(operations: int) -> None:
    kept: list[list[int]] = []
    for number in range(operations):
        kept.append([number])
        if len(kept) > KEPT:
            kept.clear()


_Work = Callable[[int], None]


def _with_hook(work: _Work) -> _Work:
    from shmtel import hooks

    def run(operations: int) -> None:
        hooks.install("gc")
        work(operations)
        hooks.uninstall("gc")

    return run


def _with_empty(work: _Work) -> _Work:
    def run(operations: int) -> None:
        gc.callbacks.append(_ignore)
        work(operations)
        gc.callbacks.remove(_ignore)

    return run


def main() -> None:
    """Measure, and print the JSON."""
    os.environ.update(SHMTEL_ENABLED="1", SHMTEL_OVERFLOW="overwrite")
    os.environ["SHMTEL_NAMESPACE"] = f"bench-{os.getpid()}"
    import shmtel
    from shmtel import segments

    shmtel.emit("first", {})
    (name,) = segments.POSIX.scan(os.environ["SHMTEL_NAMESPACE"])
    try:
        times = interleave(
            {
                "collect": _collect,
                "collect_empty": _with_empty(_collect),
                "collect_hook": _with_hook(_collect),
                "allocate": _allocate,
                "allocate_hook": _with_hook(_allocate),
            },
            rounds=ROUNDS,
            operations=OPERATIONS,
        )
    finally:
        segments.POSIX.unlink(name)
    stats = shmtel.stats()
    assert stats["committed"] == stats["emitted"] > ROUNDS * OPERATIONS // 25, stats

    def ratio(name: str, rival: str) -> float:
        return min(times[name]) / min(times[rival])

    report(
        [
            row("collection with the hook", ratio("collect_hook", "collect_empty"), 3.0,
                "x empty call-back"),
            row("allocating with the hook", ratio("allocate_hook", "allocate"), 1.1,
                "x without"),
        ],
        {
            "rounds": ROUNDS,
            "operations": OPERATIONS,
            "collections_per_operation_of_collect": 1 / 25,
            **{name: summary(values) for name, values in times.items()},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
