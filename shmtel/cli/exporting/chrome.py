"""Events in the Trace Event Format, which Perfetto and chrome://tracing read.

    span                  X, a slice with its duration, in a lane of its process
    span without an end   B
    plain event           i, an instant, in the lane of the span around it
    *.sampled, *.status   C, a counter track for each measurement
    worker                a process with a name; the second of a pid gets another pid
    parent elsewhere      s and f, an arrow

Times are microseconds with three decimals since a midnight (UTC): since 1970 they
would have more digits than a double, as which viewers read them, can hold.

Rules:
- a span is drawn when it ends: so what is remembered are open spans, and of them no
  more than OPEN_MAX; the oldest beyond it counts as one without an end.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from shmtel.cli.exporting.arrows import Arrows, Drawn
from shmtel.cli.exporting.lanes import Lanes, OpenSpan
from shmtel.hub.files.line import MOMENTS_END, Line

OPEN_MAX = 100_000
_OTHER_PIDS = 10_000_000  # above those of any host
_DAY_NS = 86_400 * 10**9
_SLACK_NS = 3_600 * 10**9  # the first event of a file may not be the earliest
_ENDS = (".stop", ".exception")
_COUNTERS = (".sampled", ".status")

TraceEvent = dict[str, Any]
_Worker = tuple[str, str, int]  # node, id and pid


def midnight_before(line: Line) -> int:
    """Return the time from which the times of a trace are counted."""
    return (line.timestamp_ns - _SLACK_NS) // _DAY_NS * _DAY_NS


class Process:
    """A worker in the trace."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.lanes = Lanes()
        self.named_lanes = 0


class ChromeTrace:
    """Turns events into those of a trace.

    `counts` tells what became of them.
    """

    def __init__(self, base_ns: int) -> None:
        self._base_ns = base_ns
        self._processes: dict[_Worker, Process] = {}
        self._pids: set[int] = set()
        # Oldest first: a dict would look for its first through all that has left it.
        self._open: OrderedDict[OpenSpan, Process] = OrderedDict()
        self._arrows = Arrows()
        self.counts: Counter[str] = Counter()

    def add(self, line: Line) -> Iterator[TraceEvent]:
        """Return what one more event adds to the trace."""
        name = line.event
        process, told = self._process((line.node, line.worker_id, line.pid), line)
        yield from told
        if line.span_id is not None and name.endswith(".start"):
            yield from self._begin(line, process)
        elif line.span_id is not None and name.endswith(_ENDS):
            yield from self._end(line, process)
        elif name.endswith(_COUNTERS):
            yield from self._count(line)
        else:
            yield self._instant(line, process)

    def finish(self) -> Iterator[TraceEvent]:
        """Return the spans that have no end, outer ones first."""
        for span, process in self._open.items():
            yield from self._draw_open(span, process, span.lane)
        self.counts["arrows left out"] += self._arrows.forgotten

    # -- spans ---------------------------------------------------------------

    def _begin(self, line: Line, process: Process) -> Iterator[TraceEvent]:
        assert line.span_id is not None
        twin = process.lanes.open.get(line.span_id)
        if twin is not None:  # no two spans have one id
            yield from self._give_up(twin)
        operation = line.event.removesuffix(".start")
        span = OpenSpan(
            *(operation, line.timestamp_ns, line.span_id, line.parent_id),
            _arguments(line),
        )
        process.lanes.begin(span)
        self._open[span] = process
        if len(self._open) > OPEN_MAX:
            yield from self._give_up(next(iter(self._open)))

    def _end(self, line: Line, process: Process) -> Iterator[TraceEvent]:
        operation, _, outcome = line.event.rpartition(".")
        span = process.lanes.open.get(line.span_id or "")
        arguments = _arguments(line)
        if span is None:
            start_ns, end_ns = _interval(line)
            lane = process.lanes.place(start_ns, end_ns)
        else:
            start_ns, lane = span.start_ns, span.lane
            end_ns = process.lanes.end(span, line.timestamp_ns)
            del self._open[span]
            started = span.arguments.get("metadata", {})
            arguments["metadata"] = started | arguments.get("metadata", {})
        event = self._event("X", operation, process, lane, start_ns)
        event["dur"] = _microseconds(end_ns - start_ns)
        event["args"] = arguments
        if outcome == "exception":
            event["cat"] += ",exception"
            self.counts["exceptions"] += 1
        self.counts["spans"] += 1
        yield from self._name_lanes(process)
        yield event
        drawn = Drawn(process.pid, lane + 1, line.span_id or "", start_ns, end_ns)
        yield from self._draw_arrows(drawn, line.parent_id)

    def _give_up(self, span: OpenSpan) -> Iterator[TraceEvent]:
        process = self._open.pop(span)
        yield from self._draw_open(span, process, process.lanes.abandon(span))

    def _draw_open(
        self, span: OpenSpan, process: Process, lane: int
    ) -> Iterator[TraceEvent]:
        self.counts["spans without an end"] += 1
        yield from self._name_lanes(process)
        event = self._event("B", span.name, process, lane, span.start_ns)
        yield {**event, "args": span.arguments}
        drawn = Drawn(process.pid, lane + 1, span.span_id, span.start_ns)
        yield from self._draw_arrows(drawn, span.parent_id)

    def _draw_arrows(self, drawn: Drawn, parent_id: str | None) -> Iterator[TraceEvent]:
        for parent, child in self._arrows.add(drawn, parent_id):
            flow = {"name": "calls", "cat": "calls", "id": child.span_id}
            start = self._moment(parent.clamp(child.start_ns))
            end = self._moment(child.start_ns)
            yield {**flow, "ph": "s", "pid": parent.pid, "tid": parent.tid, "ts": start}
            yield {
                **flow,
                **{"ph": "f", "bp": "e", "pid": child.pid, "tid": child.tid, "ts": end},
            }
            self.counts["arrows"] += 1

    # -- other events --------------------------------------------------------

    def _instant(self, line: Line, process: Process) -> TraceEvent:
        around = process.lanes.open.get(line.parent_id or "")
        lane = 0 if around is None else around.lane
        event = self._event("i", line.event, process, lane, line.timestamp_ns)
        event["s"] = "p" if around is None else "t"
        event["args"] = _arguments(line)
        self.counts["instants"] += 1
        return event

    def _count(self, line: Line) -> Iterator[TraceEvent]:
        """Return the values, at the worker that they are about."""
        process, told = self._process(_subject(line), line)
        yield from told
        for key, value in line.measurements.items():
            if value is not None:
                name = f"{line.event} {key}"
                event = self._event("C", name, process, 0, line.timestamp_ns)
                yield {**event, "args": {key: value}}
        self.counts["counters"] += 1

    # -- rows ----------------------------------------------------------------

    def _process(
        self, worker: _Worker, line: Line
    ) -> tuple[Process, Iterable[TraceEvent]]:
        """Return the process of a worker, and what is said of it the first time."""
        process = self._processes.get(worker)
        if process is not None:
            return process, ()
        node, worker_id, pid = worker
        if not 0 < pid < _OTHER_PIDS or pid in self._pids:
            pid = _OTHER_PIDS + len(self._pids)
        self._pids.add(pid)
        process = self._processes[worker] = Process(pid)
        name = f"{worker_id} ({node})" if node else worker_id
        told = [_about("process_name", pid, 0, name=name)]
        if line.worker_id == worker_id and line.pool_name:
            told.append(_about("process_labels", pid, 0, labels=line.pool_name))
        return process, told

    def _name_lanes(self, process: Process) -> Iterator[TraceEvent]:
        while process.named_lanes < len(process.lanes):
            process.named_lanes += 1
            tid = process.named_lanes
            yield _about("thread_name", process.pid, tid, name=f"spans {tid}")

    def _event(
        self, kind: str, name: str, process: Process, lane: int, moment_ns: int
    ) -> TraceEvent:
        return {
            "name": name,
            "cat": name.partition(".")[0],
            "ph": kind,
            "ts": self._moment(moment_ns),
            "pid": process.pid,
            "tid": lane + 1,
        }

    def _moment(self, moment_ns: int) -> float:
        return _microseconds(moment_ns - self._base_ns)


def _about(kind: str, pid: int, tid: int, **arguments: str) -> TraceEvent:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": arguments}


def _subject(line: Line) -> _Worker:
    """Return the worker that an event is about: it may be a collector's."""
    subject, pid = (line.metadata.get(key) for key in ("subject", "subject_pid"))
    if isinstance(subject, str) and isinstance(pid, int):
        return line.node, subject, pid
    return line.node, line.worker_id, line.pid


def _arguments(line: Line) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "measurements": line.measurements,
        "metadata": line.metadata,
        "correlation_id": line.correlation_id,
        "span_id": line.span_id,
        "parent_id": line.parent_id,
    }
    if line.sampling_probability != 1.0:
        arguments["sampling_probability"] = line.sampling_probability
    return {key: value for key, value in arguments.items() if value}


def _interval(line: Line) -> tuple[int, int]:
    duration = line.measurements.get("duration")
    length_ns = duration if isinstance(duration, int) else 0
    return line.timestamp_ns - max(0, min(length_ns, MOMENTS_END)), line.timestamp_ns


def _microseconds(nanoseconds: int) -> float:
    return nanoseconds / 1_000
