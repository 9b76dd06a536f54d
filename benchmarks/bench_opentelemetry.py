"""What a span costs on its way into OTLP: the hub's bridge beside OpenTelemetry's SDK.

All export the same spans, four attributes and a trace each, over gRPC to the same
server, which decodes and counts them; what is counted has to be all. The value is
the CPU time of the exporting process, of all its threads, for each span:

- bridge: from a segment as the hub gets it, so decode, mapping, requests and calls;
  of a span that is two events;
- SDK: a span that is started and ended, its batch processor and its exporter, without
  a drop;
- SDK, export alone: of spans that are finished and handed to the exporter in batches.

Each runs in a process of its own, in interleaved rounds.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from measure import EVENT, MEASUREMENTS, METADATA, report, row, size, spread
from processes import ask, hear, running, wait_for

SPANS = size(20_000, 1_000)
ROUNDS = size(5, 1)
BAR = 4.0  # times cheaper than the SDK, at least
_PER_SEGMENT = 500
_OPERATION = EVENT.rpartition(".")[0]
_NAMES = [f"{_OPERATION}.start", f"{_OPERATION}.stop"]
_EXPORT_BATCH = 512  # of the SDK's batch processor


# -- the exporting processes -----------------------------------------------------


def _segment(first_seq: int) -> tuple[int, bytes]:
    events: list[list[object]] = []
    for number in range(_PER_SEGMENT):
        span, trace = os.urandom(8) + os.urandom(8), os.urandom(16).hex()
        seq, at = first_seq + 2 * number, time.time_ns()
        started = {"system_time": at}
        about = dict(METADATA)
        events.append([0, seq, at, 0, trace, started, about, span])
        events.append([1, seq + 1, at, 0, trace, MEASUREMENTS, about, span])
    body = b"".join(map(msgspec.msgpack.encode, events))
    return first_seq - 1, b"\xdd" + len(events).to_bytes(4) + body


def run_bridge(address: str) -> Callable[[], None]:
    """Prepare segments; what is returned exports them."""
    from shmtel.hub.bridges.opentelemetry import (
        OpenTelemetryBridge,
        OpenTelemetrySettings,
    )
    from shmtel.hub.handlers import EventBatch
    from shmtel.hub.records import decode_segment
    from shmtel.wire.frames import Segment, Worker

    count = 2 * _PER_SEGMENT
    segments = [_segment(1 + n * count) for n in range(SPANS // _PER_SEGMENT)]
    worker = Worker("worker_1", "pool", "bench", os.getpid())
    bridge = OpenTelemetryBridge(OpenTelemetrySettings(f"http://{address}", "grpc"))

    def export() -> None:
        for before, data in segments:
            segment = Segment(1, before, before + count, count, data)
            records = decode_segment(segment, len(_NAMES))
            bridge(EventBatch("node", worker, "ab" * 16, _NAMES, records))
        bridge.close(60.0)
        assert bridge.accounts()["traces"].sent == SPANS

    return export


def run_sdk(address: str) -> Callable[[], None]:
    """Prepare a tracer; what is returned starts, ends and exports spans."""
    from rivals import otel_spans

    sender = otel_spans.open_otlp(address)

    def export() -> None:
        for _ in range(SPANS // 100):
            for _ in range(100):
                sender.emit()
            while sender.is_behind():
                time.sleep(0.0005)
        sender.flush()

    return export


def run_sdk_export(address: str) -> Callable[[], None]:
    """Finish spans; what is returned exports them."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter(address, insecure=True)
    tracer = TracerProvider().get_tracer("benchmark")
    attributes: Any = {"bytes": MEASUREMENTS["bytes"], **METADATA}
    spans: list[Any] = []
    for _ in range(SPANS):
        span = tracer.start_span(_OPERATION, attributes=attributes)
        span.end()
        spans.append(span)

    def export() -> None:
        for at in range(0, SPANS, _EXPORT_BATCH):
            part = spans[at : at + _EXPORT_BATCH]
            assert exporter.export(part) is SpanExportResult.SUCCESS

    return export


CASES = {"bridge": run_bridge, "sdk": run_sdk, "sdk_export": run_sdk_export}


def _child(name: str, address: str) -> None:
    export = CASES[name](address)
    print(json.dumps("ready"), flush=True)
    sys.stdin.readline()
    began = time.process_time_ns()
    export()
    print(json.dumps((time.process_time_ns() - began) / SPANS), flush=True)
    sys.stdin.readline()
    os._exit(0)  # without what a library does at exit, which is not measured


# -- the measuring process -------------------------------------------------------


def measure(name: str) -> float:
    """Return the CPU time of a span, in ns; see that all have arrived."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running(
            str(Path(__file__).with_name("sink.py")), "otel_span_otlp", directory
        ) as sink,
    ):
        address, _ = hear(sink)
        with running(__file__, "--child", name, "--address", address) as child:
            assert hear(child) == "ready"
            cpu_ns: float = ask(child)
            wait_for(lambda: ask(sink) == SPANS, f"{name} has lost spans")
    return cpu_ns


def main() -> None:
    """Run all cases, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child, options.address)
        return
    runs: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, costs in runs.items():
            costs.append(measure(name))
    cost = {name: median(costs) for name, costs in runs.items()}
    rows = [
        row(
            "a span into OTLP: OpenTelemetry's SDK, by the bridge",
            *(cost["sdk"] / cost["bridge"], BAR, "x"),
            at_least=True,
        ),
        row(
            "a span into OTLP: the SDK's export alone, by the bridge",
            *(cost["sdk_export"] / cost["bridge"], None, "x"),
        ),
        row("a span into OTLP: the bridge", cost["bridge"] / 1e3, None, "µs CPU"),
    ]
    details = {name: spread(costs) for name, costs in runs.items()}
    report(rows, {"spans": SPANS, "rounds": ROUNDS, "cpu_ns_per_span": details})


if __name__ == "__main__":
    main()
