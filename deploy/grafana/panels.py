"""Panels, and the expressions that most of them are made of.

Rules:
- a description says what it means that something is to be seen, and what to do;
- a rate is over `$__rate_interval`, a sum over `$__range`: Grafana knows both;
- of what may have many series the largest are shown.
"""

from dataclasses import dataclass

FLEET = '{node=~"$node"}'
HOST = '{service=~"$service"}'
POOL = '{pool=~"$pool"}'
PLACE = '{node=~"$node", pool=~"$pool"}'
# Hubs and collectors, whatever their jobs are called.
OURS = "and on (instance, job) shmtel_build_info"
TOP = 20


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        unit: an id of Grafana's.
        bad_from: from which value on something is wrong.
    """

    title: str
    unit: str
    queries: list[Query]
    description: str
    kind: str = "timeseries"
    width: int = 8
    bad_from: float | None = None
    is_stacked: bool = False
    can_be_negative: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A row and what is below it; closed, until somebody opens it."""

    title: str
    panels: list[Panel]
    is_closed: bool = False


def rate(metric: str, by: str, chosen: str = "", legend: str = "") -> Query:
    """Return what is added per second, by labels; all of it without."""
    added = f"rate({metric}{chosen}[$__rate_interval])"
    return Query(_sum(added, by), legend or _names(by))


def largest_rates(metric: str, by: str, chosen: str = "") -> list[Query]:
    """Return what is added per second, of the series that add most."""
    found = rate(metric, by, chosen)
    return [Query(f"topk({TOP}, {found.expression})", found.legend)]


def added(metric: str, by: str = "", chosen: str = "") -> list[Query]:
    """Return what was added in the time that is shown."""
    return [Query(_sum(f"increase({metric}{chosen}[$__range])", by), _names(by))]


def quantiles(metric: str, by: str, chosen: str = "") -> list[Query]:
    """Return the median and the 99th percentile of a distribution."""
    labels = f"le, {by}" if by else "le"
    buckets = f"rate({metric}_bucket{chosen}[$__rate_interval])"
    name = f"{_names(by)} " if by else ""
    return [
        Query(
            f"histogram_quantile({share}, sum by ({labels}) ({buckets}))",
            f"{name}{word}",
        )
        for share, word in ((0.5, "p50"), (0.99, "p99"))
    ]


def largest(metric: str, by: str, chosen: str = "") -> list[Query]:
    """Return the values that are the largest."""
    return [Query(f"topk({TOP}, sum by ({by}) ({metric}{chosen}))", _names(by))]


def value(metric: str, by: str, chosen: str = "", legend: str = "") -> Query:
    """Return the sum of values, by labels."""
    return Query(_sum(f"{metric}{chosen}", by), legend or _names(by))


def number(
    title: str, unit: str, expression: str, text: str, bad_from: float | None = None
) -> Panel:
    """Return a panel that is one number."""
    return Panel(title, unit, [Query(expression)], text, "stat", 3, bad_from)


def _sum(expression: str, by: str) -> str:
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"


def _names(by: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)
