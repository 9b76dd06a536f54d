"""The plots, drawn from the stored results into results/plots.

Colours are those of Okabe and Ito, which the colour-blind can tell apart; ours is
always the blue one, and curves differ in their dashes too. The files depend on
the results alone, so that drawing again changes nothing.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, NullFormatter

RESULTS = Path(__file__).resolve().parent / "results"
PLOTS = RESULTS / "plots"
OURS = "#0072B2"
OTHERS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
_STYLE = {
    "svg.hashsalt": "shmtel",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
}


def _details(name: str) -> dict[str, Any]:
    details: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return details["details"]  # type: ignore[no-any-return]


def _plain(value: float, _: object = None) -> str:
    """Return a number as people write it."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _time(ns: float, _: object = None) -> str:
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= size:
            return f"{ns / size:g} {unit}"
    return f"{ns:g} ns"


def latency() -> Any:
    """Draw how long a call takes: the share of the calls that took no longer."""
    details = _details("latency")
    figure, axes = pyplot.subplots(figsize=(9, 5))
    ours = other = 0
    for name, case in details["cases"].items():
        if name.startswith("shmtel"):
            style = {"color": OURS, "linestyle": DASHES[::-1][ours], "linewidth": 2.2}
            ours += 1
        else:
            color, dash = OTHERS[other % 6], DASHES[other // 6]
            style = {"color": color, "linestyle": dash, "linewidth": 1.4}
            other += 1
        axes.plot(case["quantiles_ns"], details["shares"], label=case["title"], **style)
    timer = details["timer_ns"]
    axes.axvline(timer, color="#888888", linewidth=0.8)
    axes.annotate(
        f"the timer itself: {timer:.0f} ns",
        *((timer, 0.02), (-4, 0)),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="bottom",
        color="#666666",
    )
    axes.set(xscale="log", xlim=(30, 3e6), ylim=(0, 1.01))
    axes.set(xlabel="time of a call, its timer included", ylabel="share of calls")
    axes.xaxis.set_major_formatter(FuncFormatter(_time))
    axes.set_title("A call at 10,000 events/s, one thread", loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _with_range(axes: Any, x: Any, facts: list[dict[str, float]], **style: Any) -> None:
    """Draw medians, with bars from the least to the greatest round."""
    middle = [fact["median"] for fact in facts]
    low = [fact["median"] - fact["min"] for fact in facts]
    high = [fact["max"] - fact["median"] for fact in facts]
    axes.errorbar(x, middle, yerr=(low, high), capsize=2, marker="o", ms=4, **style)


def delivery() -> Any:
    """Draw how much arrives, by the number of workers."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    colors = iter(OTHERS)
    cases = _details("delivery")["cases"]
    numbers = list(cases["shmtel_8"]["workers"])
    x = [int(number) for number in numbers]
    for name, case in cases.items():
        is_variant = name.startswith("shmtel_8_")  # in the table; here it is one line
        if is_variant or case["workers"].keys() != set(numbers):
            continue
        facts = [case["workers"][number]["events_per_s"] for number in numbers]
        color = OURS if name.startswith("shmtel") else next(colors)
        _with_range(axes, x, facts, color=color, linewidth=1.8, label=case["title"])
    axes.set(xscale="log", yscale="log", ylim=(1e3, 3e6))
    axes.set(xlabel="workers", ylabel="events/s that arrive")
    axes.set_xticks(x, numbers)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.set_title("Delivered to another process, nothing dropped", loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def burst() -> Any:
    """Draw what is kept of a burst, by way; the rings of shmtel are its own bars."""
    details = _details("rivals")
    cases = {
        name: case
        for name, case in details["cases"].items()
        if case["fate"] == "delivered" and name != "shmtel_span"
    }
    order = sorted(cases, key=lambda name: cases[name]["kept"]["median"])
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for place, name in enumerate(order):
        kept = cases[name]["kept"]
        share = 100 * kept["median"] / details["events"]
        low, high = (100 * kept[end] / details["events"] for end in ("min", "max"))
        color = OURS if name.startswith("shmtel") else OTHERS[3]
        error = ([share - low], [high - share])
        axes.barh(place, share, color=color, xerr=error, error_kw={"capsize": 2})
        seconds = cases[name]["wall_ns"]["median"] * details["events"] / 1e9
        label = f"{share:.3g} % of {seconds:.2g} s"
        axes.text(max(share, high) + 1, place, label, va="center")
    axes.set_yticks(range(len(order)), [cases[name]["title"] for name in order])
    axes.set(xlim=(0, 130), xlabel="kept, in percent, and how long the burst took")
    axes.grid(visible=False, axis="y")
    axes.set_title(
        f"A burst of {details['events']:,} events, as fast as the caller can send",
        loc="left",
    )
    return figure


def growth() -> Any:
    """Draw what a call and the collector cost as the four things grow."""
    details = _details("growth")["axes"]
    figure, grid = pyplot.subplots(2, 4, figsize=(12, 5), sharey="row")
    names = {
        "workers": "workers, together 10,000 events/s",
        "names": "event names",
        "fields": "metadata fields",
        "ring": "ring size",
    }
    for column, (axis, title) in enumerate(names.items()):
        points = details[axis]
        x = range(len(points))
        emit, collector = grid[0][column], grid[1][column]
        facts = list(points.values())
        _with_range(emit, x, [fact["emit_ns"] for fact in facts], color=OURS)
        busy = [fact["collector_percent"] for fact in facts]
        _with_range(collector, x, busy, color=OURS, label="10,000 events/s")
        if axis == "workers":
            idle = [fact["idle_percent"] for fact in facts]
            _with_range(collector, x, idle, color=OTHERS[0], ls="--", label="idle")
            collector.legend(frameon=False)
        for axes in (emit, collector):
            axes.set_xticks(x, list(points))
        collector.set_xlabel(title)
    for row in grid:
        row[0].set_ylim(bottom=0)  # last, for it ends the search for the top
    grid[0][0].set_ylabel("ns per emit")
    grid[1][0].set_ylabel("collector, % of a core")
    figure.suptitle("As it grows", x=0.01, ha="left")
    return figure


DRAWINGS = (latency, delivery, burst, growth)


def main() -> None:
    """Draw all; with an argument, as pictures into that folder, to look at."""
    folder, kind = (Path(sys.argv[1]), "png") if sys.argv[1:] else (PLOTS, "svg")
    folder.mkdir(exist_ok=True)
    with mpl.rc_context(_STYLE):
        for draw in DRAWINGS:
            path = folder / f"{draw.__name__}.{kind}"
            options: dict[str, Any] = (
                {"metadata": {"Date": None}} if kind == "svg" else {}
            )
            draw().savefig(path, bbox_inches="tight", dpi=110, **options)


if __name__ == "__main__":
    main()
