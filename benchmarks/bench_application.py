"""What telemetry costs a web application: latency and throughput of an endpoint.

gunicorn with two sync workers serves application.py on the loopback interface:
without telemetry, with ten spans a request by shmtel (collector and hub running),
the same with shmtel's variable unset, and by OpenTelemetry over OTLP to a server
on this host. Two clients ask again and again; they, the servers and whatever
receives the telemetry share the cores, as they would on a host. The rounds of all
are interleaved, each with fresh processes.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import processes
from line import running_line
from measure import report, size, spread

_HERE = Path(__file__).parent
SECONDS = size(5, 1)
ROUNDS = size(5, 1)
WORKERS = CLIENTS = 2
_SPANS = 10
TITLES = {
    "none": "without telemetry",
    "shmtel_off": "shmtel, variable unset",
    "shmtel": "shmtel, collector and hub running",
    "opentelemetry": "OpenTelemetry spans, OTLP/gRPC",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(stack: ExitStack, **variables: str) -> int:
    """Start the application; return its port once it answers."""
    port = _free_port()
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SHMTEL_")}
    command = [
        "-P",
        "-m",
        "gunicorn",
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "error",
    ]
    command += ["--workers", str(WORKERS), "application"]
    server = subprocess.Popen(
        [sys.executable, *command],
        env={**bare, **variables},
        cwd=_HERE,  # gunicorn imports from there, and never from the sources
        stdin=subprocess.DEVNULL,
    )
    stack.callback(server.wait, processes.PATIENCE_S)
    stack.callback(server.terminate)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    processes.wait_for(answers, "the application does not answer")
    return port


def _load(port: int, seconds: float) -> dict[str, Any]:
    command = str(_HERE / "load.py"), str(port), str(CLIENTS), str(seconds)
    with processes.running(*command) as client:
        result: dict[str, Any] = processes.hear(client)
    assert result["failed"] == 0, f"{result['failed']} requests failed"
    return result


def _measure(name: str) -> dict[str, Any]:
    """Serve in one way, warm up, and load."""
    with ExitStack() as stack:
        arrived: Callable[[], int] = int  # none
        variables = {"TELEMETRY": "none"}
        if name == "shmtel":
            line = stack.enter_context(running_line())
            arrived, variables = line.count, line.variables(TELEMETRY="shmtel")
        elif name == "shmtel_off":
            variables = {"TELEMETRY": "shmtel"}
        elif name == "opentelemetry":
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            sink = str(_HERE / "sink.py"), "otel_span_otlp", directory
            server = stack.enter_context(processes.running(*sink))
            address, _ = processes.hear(server)
            arrived = lambda: processes.ask(server)  # noqa: E731 - one of several
            variables = {"TELEMETRY": "opentelemetry", "OTLP_ADDRESS": address}
        with ExitStack() as serving:
            port = _serve(serving, **variables)
            warm_up = _load(port, 1)
            result = _load(port, SECONDS)
            requests = len(warm_up["times_us"]) + len(result["times_us"])
            if name == "shmtel":
                _settle(arrived)
        return _facts(result["times_us"], arrived() / requests)


def _settle(count: Callable[[], int]) -> None:
    """Wait until no more arrives."""
    before = -1
    while (now := count()) != before:
        before = now
        time.sleep(2)


def _facts(times: list[int], arrived: float) -> dict[str, Any]:
    percentiles = quantiles(times, n=100)
    return {
        "requests_per_s": len(times) / SECONDS,
        "p50_ms": percentiles[49] / 1e3,
        "p99_ms": percentiles[98] / 1e3,
        "arrived_per_request": arrived,
    }


def main() -> None:
    """Measure, and print the JSON."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in TITLES}
    for number in range(ROUNDS):
        for name in list(TITLES)[:: 1 if number % 2 else -1]:
            runs[name].append(_measure(name))
    arrived = [run["arrived_per_request"] for run in runs["shmtel"]]
    assert arrived == [2 * _SPANS] * ROUNDS, f"the run is void: {arrived} a request"
    digits = {"requests_per_s": 0, "p50_ms": 3, "p99_ms": 3, "arrived_per_request": 2}
    cases: dict[str, dict[str, Any]] = {}
    for name, found in runs.items():
        cases[name] = {"title": TITLES[name]}
        for fact, digit in digits.items():
            cases[name][fact] = spread([run[fact] for run in found], digit)
        p50 = [
            a["p50_ms"] / b["p50_ms"] for a, b in zip(found, runs["none"], strict=True)
        ]
        cases[name]["p50_to_none"] = round(median(p50), 4)
    facts = {"seconds": SECONDS, "rounds": ROUNDS, "workers": WORKERS}
    report([], {**facts, "clients": CLIENTS, "spans": _SPANS, "cases": cases})


if __name__ == "__main__":
    main()
