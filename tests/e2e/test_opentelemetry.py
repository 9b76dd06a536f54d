"""A real line whose hub exports to a backend for OTLP."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from shmtel.endpoints.exposition import Samples
from shmtel.hub import measures
from shmtel.hub.bridges.opentelemetry import OpenTelemetryBridge, OpenTelemetrySettings
from shmtel.hub.sink_metrics import FAMILIES, add_bridges
from support.collector_process import CollectorProcess, NotingHub
from support.hubs import Seqs, running_hub
from support.otlp_backend import (
    Backend,
    Reply,
    bound_socket,
    grpc_backend,
    http_backend,
    plain,
)
from support.processes import environment, wait_until
from support.program import fresh_namespace, shmtel, start_shmtel, stopped_at_exit
from support.uplink import connected, make_segment

TRACE = "0af7651916cd43dd8448eb211c80319c"
AWAY_S = 3.0
# A service that calls another one, and is in the middle of something when it ends.
CALLER = f"""
import json, subprocess, sys, shmtel
with shmtel.correlation("{TRACE}"), shmtel.span("request"):
    headers = json.dumps(shmtel.outgoing_metadata())
    subprocess.run([sys.executable, "-c", sys.argv[1], headers], check=True)
    with shmtel.span("unfinished"):
        print("waits", flush=True)
        sys.stdin.read()
"""
CALLED = """
import contextlib, json, sys, shmtel
headers = json.loads(sys.argv[1])
with shmtel.correlation(headers=headers), contextlib.suppress(KeyError):
    with shmtel.span("work", {"tool": "predict"}):
        shmtel.emit("work.note", {"n": 1})
        with shmtel.span("look"):
            raise KeyError("missing")
"""


def test_parents_across_processes(tmp_path: Path) -> None:
    """One trace of two services, with what the one left open when it was killed."""
    with ExitStack() as stack:
        backend = stack.enter_context(grpc_backend())
        noting = stack.enter_context(NotingHub())
        namespace = stack.enter_context(fresh_namespace())
        settings = OpenTelemetrySettings(f"http://{backend.endpoint}", "grpc")
        bridge = stack.enter_context(OpenTelemetryBridge(settings))
        bridge.attach(noting.hub)
        seen = Seqs()
        noting.hub.attach_batch("seen", "*", seen)
        collector = stack.enter_context(
            CollectorProcess(namespace, noting.hub.address, tmp_path, lifecycle=True)
        )
        process = stack.enter_context(_caller(namespace))
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.kill()
        process.wait()
        wait_until(lambda: bridge.mapped()["left_open"] == 2, 30.0)
        collector.stop()
        noting.hub.stop()
        bridge.close(10.0)
        _check_trace(backend, process.pid)
        _check_accounts(bridge, backend, len(seen.seqs))


def _caller(namespace: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CALLER, CALLED],
        cwd="/",
        env=environment(namespace, SHMTEL_SERVICE_NAME="shop"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _check_trace(backend: Backend, caller_pid: int) -> None:
    found = {span.name: (resource, span) for resource, span in backend.spans()}
    assert {span.trace_id.hex() for _, span in found.values()} == {TRACE}
    (of_caller, request), (of_called, work) = found["request"], found["work"]
    _, look = found["look"]
    _, unfinished = found["unfinished"]
    assert request.parent_span_id == b""
    assert work.parent_span_id == unfinished.parent_span_id == request.span_id
    assert look.parent_span_id == work.span_id
    assert of_caller["process.pid"] == caller_pid != of_called["process.pid"]
    assert of_caller["service.name"] == of_called["service.name"] == "shop"
    assert of_caller["service.instance.id"] != of_called["service.instance.id"]
    assert look.status.code == work.status.code == Status.STATUS_CODE_ERROR
    assert look.status.message == "KeyError: 'missing'"
    assert plain(request.attributes)["shmtel.worker.end"] == "vanished"
    assert work.start_time_unix_nano <= look.start_time_unix_nano
    assert look.end_time_unix_nano <= work.end_time_unix_nano
    logs = {log.event_name: log for _, log in backend.logs()}
    assert logs["work.note"].trace_id.hex() == TRACE
    assert logs["work.note"].span_id == work.span_id


def _check_accounts(bridge: OpenTelemetryBridge, backend: Backend, events: int) -> None:
    """See that every event of the hub is in the account, and what was sent arrived."""
    mapped, accounts = bridge.mapped(), bridge.accounts()
    assert mapped["starts"] + mapped["spans"] + mapped["logs"] == events
    assert mapped["unsayable"] == mapped["open_spans"] == mapped["forgotten"] == 0
    spans, logs = accounts["traces"], accounts["logs"]
    assert spans.sent == spans.given == mapped["spans"] + mapped["left_open"]
    assert logs.sent == logs.given == mapped["logs"]
    assert spans.dropped == logs.dropped == {}
    assert (len(backend.spans()), len(backend.logs())) == (spans.sent, logs.sent)


def test_a_backend_that_is_away(tmp_path: Path) -> None:
    """What failed is sent again, and what waits at the end is sent then: each once."""
    place_of_backend = bound_socket()
    hub = f"unix:{tmp_path / 'hub.sock'}"
    endpoint = f"http://127.0.0.1:{place_of_backend.getsockname()[1]}"
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        place = ("--namespace", namespace, "--state-dir", str(tmp_path / "state"))
        own = ("--state-dir", str(tmp_path / "hub"))
        process = stack.enter_context(
            stopped_at_exit(
                start_shmtel("hub", "--listen", hub, "--otlp", endpoint, *own)
            )
        )
        stack.enter_context(
            stopped_at_exit(start_shmtel("collector", "--hub", hub, *place))
        )
        began = time.monotonic()
        worker = "import shmtel\nfor i in range(500): shmtel.emit('a.b', {'i': i})"
        subprocess.run(
            [sys.executable, "-c", worker],
            cwd="/",
            env=environment(namespace),
            check=True,
        )
        wait_until(lambda: _ledger(*place)["delivered"] == 500, 20.0)
        assert process.stderr is not None
        while "the logs are sent again" not in (line := process.stderr.readline()):
            assert line, "it ended"
        time.sleep(max(0.0, began + AWAY_S - time.monotonic()))  # it is away, not slow
        backend = stack.enter_context(http_backend(place_of_backend))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        _, said = process.communicate()
    assert sorted(plain(log.attributes)["i"] for _, log in backend.logs()) == [
        *range(500)
    ]
    assert "the logs are sent again" not in said  # once is enough
    assert "Traceback" not in said


def _ledger(*place: str) -> dict[str, Any]:
    document = json.loads(shmtel("ledger", "--json", *place).stdout)
    total: dict[str, Any] = document["total"]
    return total


def test_a_slow_backend_holds_up_nobody() -> None:
    """Acks and other handlers go on; what finds no room is counted, also as metrics."""
    seen, may_go = Seqs(), threading.Event()
    with grpc_backend() as backend, running_hub() as hub:
        backend.replies.append(Reply(may_go=may_go))
        settings = OpenTelemetrySettings(
            *(f"http://{backend.endpoint}", "grpc"), room_bytes=10_000, delay_s=0.0
        )
        with OpenTelemetryBridge(settings) as bridge:
            bridge.attach(hub)
            hub.attach_batch("seen", "*", seen)
            with connected(hub.address) as collector:
                collector.open()
                collector.wait_acked(collector.send(make_segment(0, 1)))
                wait_until(lambda: backend.asked == 1)
                for before in range(1, 101, 10):
                    segment = make_segment(before, before + 10)
                    collector.wait_acked(collector.send(segment))
            assert seen.seqs == list(range(1, 102))
            assert backend.asked == 1  # which it still answers
            wait_until(lambda: bridge.mapped()["logs"] == 101)
            account = bridge.accounts()["logs"]
            assert account.waiting_bytes <= 10_000
            dropped = account.dropped["queue_full"]
            samples = Samples(FAMILIES)
            add_bridges(samples, [bridge])
            family = samples.of("shmtel_bridge_items_dropped_total")
            assert family == {("opentelemetry", "logs", "queue_full"): dropped}
            may_go.set()
            bridge.close(10.0)
            assert bridge.accounts()["logs"].sent == len(backend.logs())
            assert len(backend.logs()) + dropped == 101
            assert 0 < dropped < 100


def test_metrics_go_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps aggregates can send them; a signal that is off is counted so."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for value in (1, 2):
        metric.gauge.data_points.add(as_int=value)
    with http_backend() as backend:
        with OpenTelemetryBridge(OpenTelemetrySettings(backend.endpoint)) as bridge:
            assert bridge.export_metrics(request)
            with running_hub() as hub:
                bridge.attach(hub)
                with connected(hub.address) as collector:
                    collector.open()
                    collector.wait_acked(collector.send(make_segment(0, 3)))
        assert backend.taken == [("metrics", request)]
    accounts = bridge.accounts()
    assert accounts["metrics"].sent == 2
    assert accounts["logs"].dropped == {"switched_off": 3}


def test_metrics_of_events_go_out() -> None:
    """Those of the hub, at the latest with its end: what it counted is what arrives."""
    with http_backend() as backend, running_hub() as hub:
        hub.attach_metrics([measures.counter("seen", "*")])
        settings = OpenTelemetrySettings(backend.endpoint)
        with OpenTelemetryBridge(settings) as bridge:
            bridge.attach(hub)
            bridge.export_periodically(hub.measures, 60.0)
            with connected(hub.address) as collector:
                collector.open()
                collector.wait_acked(collector.send(make_segment(0, 3)))
        requests = [taken for kind, taken in backend.taken if kind == "metrics"]
        scope = requests[-1].resource_metrics[0].scope_metrics[0]
        assert [m.name for m in scope.metrics] == ["seen"]
        assert sum(p.as_int for p in scope.metrics[0].sum.data_points) == 3


def test_what_is_wrong_is_said() -> None:
    """An endpoint that is none ends the program, with the cure."""
    result = shmtel("hub", "--otlp", "nowhere")
    assert result.returncode == 6
    assert "--otlp nowhere: use a URL" in result.stderr
    assert os.linesep + "Traceback" not in result.stderr
