"""The tables of README.md, made of the stored results and of nothing else.

Between `<!-- table: name -->` and `<!-- end -->` stands what a function here
makes of results/*.json; a test compares the two. Run it to renew them.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
_ORDER = (
    *("worker", "drain", "hub", "stream", "control", "policy"),
    *("footprint", "delivery", "opentelemetry", "hooks", "grpc"),
)
_MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _result(name: str) -> dict[str, Any]:
    path = HERE / "results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(value: float) -> str:
    """Return three digits that count, and thousands in full."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _spread(fact: dict[str, float]) -> str:
    """Return a median, and what lies between the least and the greatest round."""
    low, high = _number(fact["min"]), _number(fact["max"])
    return f"{_number(fact['median'])} ({low} - {high})"


def _machines() -> str:
    names = (*_ORDER, "rivals", "latency", "application", "growth")
    rows = []
    for name in names:
        machine = _result(name)["machine"]
        facts = ("processor", "cores", "kernel", "python", "load_average", "commit")
        rows.append([f"`{name}.json`", *(str(machine[fact]) for fact in facts)])
    head = "result", "processor", "cores", "kernel", "Python", "load before", "commit"
    return _table(head, rows)


def _bars() -> str:
    rows = []
    for name in _ORDER:
        for row in _result(name)["rows"]:
            bar = "-" if row["bar"] is None else f"{row['bar']:,}"
            value = f"{_number(row['value'])} {row['unit']}"
            held = "-" if row["bar"] is None else "yes" if row["holds"] else "**no**"
            rows.append([row["row"], value, bar, held])
    return _table(("what", "result", "bar", "holds"), rows)


def _rivals() -> str:
    details = _result("rivals")["details"]
    rows = []
    for case in details["cases"].values():
        kept = _number(case["kept"]["median"])
        times = case["times_shmtel"]
        rows.append(
            [
                case["title"],
                _spread(case["wall_ns"]),
                _number(case["caller_cpu_ns"]["median"]),
                _number(case["process_cpu_ns"]["median"]),
                f"{_number(times['wall_ns'])} / {_number(times['process_cpu_ns'])}",
                kept if case["fate"] != "not recorded" else "-",
                case["fate"],
            ]
        )
    kept_of = f"kept of {details['events']:,}"
    head = ("way", "ns per call", "caller CPU ns", "process CPU ns",
            "x shmtel: call / CPU", kept_of, "fate")  # fmt: skip
    return _table(head, rows)


def _delivery() -> str:
    cases = _result("delivery")["details"]["cases"]
    line = cases["shmtel_8"]["workers"]
    rows = []
    for case in cases.values():
        for workers, facts in case["workers"].items():
            rate = facts["events_per_s"]["median"]
            ours = line[workers]["events_per_s"]["median"]
            rows.append(
                [
                    case["title"],
                    workers,
                    _spread(facts["events_per_s"]),
                    _number(facts["producer_cpu_ns"]["median"]),
                    f"{_number(facts['dropped_percent']['median'])} %",
                    _number(ours / rate),
                ]
            )
    head = ("way", "workers", "delivered events/s", "producer CPU ns per event",
            "dropped", "shmtel delivers, times")  # fmt: skip
    return _table(head, rows)


def _latency() -> str:
    cases = _result("latency")["details"]["cases"]
    points = "p50_ns", "p90_ns", "p99_ns", "p999_ns"
    rows = [
        [case["title"], *(_number(case[point] / 1000) for point in points)]
        for case in cases.values()
    ]
    return _table(("way", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs"), rows)


def _application() -> str:
    rows = []
    for case in _result("application")["details"]["cases"].values():
        facts = "p50_ms", "p99_ms", "requests_per_s"
        ratio = f"{case['p50_to_none']:.3f}"
        rows.append([case["title"], *(_spread(case[fact]) for fact in facts), ratio])
    head = "application", "p50 ms", "p99 ms", "requests/s", "p50 x without"
    return _table(head, rows)


def _growth() -> str:
    rows = []
    for axis, points in _result("growth")["details"]["axes"].items():
        for point, facts in points.items():
            idle, kept = facts.get("idle_percent"), facts.get("kept_of_burst")
            rows.append(
                [
                    f"{axis}: {point}",
                    _spread(facts["emit_ns"]),
                    f"{_number(facts['collector_percent']['median'])} %",
                    "-" if idle is None else f"{_number(idle['median'])} %",
                    f"{facts['delivered']:,} / {facts['dropped']:,}",
                    "-" if kept is None else _number(kept["median"]),
                ]
            )
    head = ("what grows", "ns per emit", "collector", "collector, idle",
            "delivered / dropped", "kept of a burst")  # fmt: skip
    return _table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "bars": _bars,
    "rivals": _rivals,
    "delivery": _delivery,
    "latency": _latency,
    "application": _application,
    "growth": _growth,
    "machines": _machines,
}


def renewed(text: str) -> str:
    """Return a text with its tables made anew."""
    return _MARK.sub(
        lambda mark: f"{mark[1]}\n{TABLES[mark[2]]()}\n{mark[3]}",
        text,
    )


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
