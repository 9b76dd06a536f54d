"""The whole line: workers, rings, collector, one stream, hub, decoded batches.

Workers build each event at the call and emit as fast as the line takes them:
one that finds its ring over half full sleeps half a millisecond, so that
nothing is dropped and the line, not the ring, is measured. Delivered events
are counted by the hub's handler, or by its metrics; the run is void unless every
committed event was delivered and none dropped, rejected or lost.

Pinned means that the hub has one core for itself and all else shares the rest.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from measure import report, row, size

SECONDS = float(os.environ.get("SECONDS", str(size(10, 1))))
WORKERS = int(os.environ.get("WORKERS", "4"))
RING_SIZE = "8MiB"


def _hub(listen: str, kind: str) -> None:
    """Count what arrives; on each line of stdin, print the count and our CPU."""
    from shmtel.hub import Hub
    from shmtel.hub.measures.defaults import default_metrics

    gc.freeze()  # as `shmtel hub` does
    delivered = 0

    def count() -> float:
        """Return what the handler has counted, or the metrics."""
        readings = (r for r in hub.measures.read() if r.metric.name == "shmtel.events")
        measured = (tally.count for r in readings for tally in r.series.values())
        return delivered or sum(measured)

    def count_batch(batch: Any, config: object) -> None:
        nonlocal delivered
        delivered += len(batch.records)

    def count_event(*_: object) -> None:
        nonlocal delivered
        delivered += 1

    with Hub(listen=listen) as hub:
        if kind == "batch":
            hub.attach_batch("count", "*", count_batch)
        elif kind == "metrics":
            hub.attach_metrics(default_metrics())
        else:
            hub.attach("count", "*", count_event)
        print("ready", flush=True)
        for _ in sys.stdin:
            print(json.dumps([count(), time.process_time()]), flush=True)


def _worker(seconds: float) -> None:
    """Emit for a time; print what was committed and dropped."""
    from shmtel import emit, stats

    emit("tool.execution.stop", {"duration": 0, "bytes": 0})
    limit = stats()["capacity_bytes"] // 2
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for index in range(500):
            emit(
                "tool.execution.stop",
                {"duration": 1234567, "bytes": index},
                {"tool": "predict", "model": "gpt-4", "worker": "worker_1"},
                "abcdef0123456789",
            )
        while stats()["used_bytes"] > limit:
            time.sleep(0.0005)
    final = stats()
    print(json.dumps([final["committed"], sum(final["dropped"].values())]))


def _start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _pin(hub: subprocess.Popen[str]) -> None:
    """Give the hub one core for itself, and all that is started later the others."""
    cores = sorted(os.sched_getaffinity(0))
    for task in os.listdir(f"/proc/{hub.pid}/task"):
        os.sched_setaffinity(int(task), cores[-1:])
    os.sched_setaffinity(0, cores[:-1])


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ask(hub: subprocess.Popen[str]) -> tuple[int, float]:
    writer, reader = hub.stdin, hub.stdout
    assert writer is not None
    assert reader is not None
    writer.write("\n")
    writer.flush()
    delivered, cpu = json.loads(reader.readline())
    return delivered, cpu


def _await_delivery(hub: subprocess.Popen[str], committed: int) -> float:
    """Wait until all is delivered; return when that was."""
    deadline = time.monotonic() + 30
    while _ask(hub)[0] < committed:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{_ask(hub)[0]} of {committed} events were delivered")
        time.sleep(0.002)
    return time.monotonic()


def _measure(kind: str, *, pinned: bool) -> dict[str, Any]:
    """Run the line once."""
    namespace = f"bench-{os.getpid()}"
    worker_environment = {
        "SHMTEL_ENABLED": "1",
        "SHMTEL_NAMESPACE": namespace,
        "SHMTEL_RING_SIZE": RING_SIZE,
    }
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        listen = f"unix:{directory / 'hub'}"
        hub = _start(__file__, "--hub", listen, kind)
        stack.callback(hub.terminate)
        assert hub.stdout is not None
        assert hub.stdout.readline() == "ready\n"
        if pinned:
            _pin(hub)
        collector = _start(
            *("-P", "-m", "shmtel.cli", "collector", "--hub", listen),
            *("--namespace", namespace, "--state-dir", str(directory / "state")),
            *("--parent", str(os.getpid()), "--no-lifecycle"),
            *("--status-interval", "0", "--resources-interval", "0"),
        )
        stack.callback(collector.wait, 10)
        stack.callback(collector.terminate)
        begin = time.monotonic()
        workers = [
            _start(__file__, "--worker", str(SECONDS), **worker_environment)
            for _ in range(WORKERS)
        ]
        counts = [json.loads(worker.communicate()[0]) for worker in workers]
        committed = sum(count[0] for count in counts)
        elapsed = _await_delivery(hub, committed) - begin
        delivered, cpu = _ask(hub)
        collector_cpu = _cpu_seconds(collector.pid)
    dropped = sum(count[1] for count in counts)
    if delivered != committed or dropped:
        raise RuntimeError(f"{delivered=} {committed=} {dropped=}: the run is void")
    return {
        "events_per_second": round(delivered / elapsed),
        "delivered": delivered,
        "seconds": round(elapsed, 2),
        "hub_cpu_ns_per_event": round(cpu / delivered * 1e9, 1),
        "collector_cpu_ns_per_event": round(collector_cpu / delivered * 1e9, 1),
    }


def main() -> None:
    """Measure, and print the JSON."""
    if sys.argv[1:2] == ["--hub"]:
        return _hub(sys.argv[2], sys.argv[3])
    if sys.argv[1:2] == ["--worker"]:
        return _worker(float(sys.argv[2]))
    runs = {
        "batch handler, hub pinned": (_measure("batch", pinned=True), 1_100_000),
        "batch handler, nothing pinned": (_measure("batch", pinned=False), 900_000),
        "event handler, hub pinned": (_measure("event", pinned=True), 700_000),
        "default metrics, hub pinned": (_measure("metrics", pinned=True), 800_000),
    }
    rows = [
        row(name, run["events_per_second"], bar, "events/s", at_least=True)
        for name, (run, bar) in runs.items()
    ]
    details = {name: run for name, (run, _) in runs.items()}
    return report(rows, {"ring_size": RING_SIZE, "workers": WORKERS, "runs": details})


if __name__ == "__main__":
    main()
