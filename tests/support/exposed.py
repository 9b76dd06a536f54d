"""What hub and collector expose, and whether an expression asks for that.

This is no parser of PromQL: Prometheus is asked elsewhere whether an expression is
one. Here every word in it has to be something that is known, so that a name which
is misspelt is found whatever is around it.
"""

import re
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector

from shmtel.endpoints.exposition import Family
from shmtel.hub.measures.defaults import default_metrics
from shmtel.hub.measures.metric import Metric
from shmtel.hub.measures.names import family_name, label_names
from shmtel.hub.metrics import FAMILIES as HUB
from shmtel_collector.metrics import FAMILIES as COLLECTOR

Labels = frozenset[str]
TARGET: Labels = frozenset({"job", "instance"})
_SUFFIXES = {
    "counter": ("_total",),
    "sum": ("_total",),
    "last_value": ("",),
    "summary": ("_count", "_sum"),
    "distribution": ("_count", "_sum", "_bucket"),
}
_FUNCTIONS = frozenset(
    (
        *(
            "abs",
            "absent",
            "changes",
            "histogram_quantile",
            "increase",
            "last_over_time",
            "max",
        ),
        *("rate", "sum", "time", "topk"),
    )
)
_OPERATORS = frozenset(("and", "offset", "or", "unless"))
_GROUPINGS = frozenset(("by", "on"))
# A text, a range or an offset, a word, or one of the signs that matter.
_TOKEN = re.compile(r""""[^"]*"|\[[^\]]*\]|offset\ \w+|[A-Za-z_:$][\w:]*|[(){},]""")


def exposed() -> dict[str, Labels]:
    """Return the names of all series, and the labels of each."""
    found = {"up": TARGET}
    families: tuple[Family, ...] = (*HUB, *COLLECTOR)
    for family in families:
        found[family.name] = TARGET | found.get(family.name, TARGET) | {*family.labels}
    for metric in default_metrics():
        found |= _series(metric)
    for process in ProcessCollector(registry=CollectorRegistry()).collect():
        suffix = "_total" if process.type == "counter" else ""
        found[process.name + suffix] = TARGET
    return found


def _series(metric: Metric) -> Iterator[tuple[str, Labels]]:
    labels = TARGET | {*label_names(metric)}
    for suffix in _SUFFIXES[metric.kind]:
        own = labels | ({"le"} if suffix == "_bucket" else set())
        yield family_name(metric) + suffix, own


def faults(expression: str, known: Mapping[str, Labels]) -> list[str]:
    """Say what in an expression is no name of ours, or no label of what it names.

    A label in `by` has to be one of the metric that follows, and a label in `on` one of
    the metrics on both sides.
    """
    return list(_Reading(expression, known).faults())


def groupings(expression: str) -> Labels | None:
    """Return the labels that an expression leaves to its series; None: all."""
    found = re.findall(r"\bby \(([^)]*)\)", expression)
    if not found:
        return frozenset() if re.match(r"sum\(", expression) else None
    return frozenset(label.strip() for labels in found for label in labels.split(","))


class _Reading:
    """One pass over the words of an expression."""

    def __init__(self, expression: str, known: Mapping[str, Labels]) -> None:
        self._tokens = [t for t in _TOKEN.findall(expression) if t[0] not in '"[']
        self._known = known
        self._metric = ""  # the last one
        self._expected: list[str] = []  # labels of the next one

    def faults(self) -> Iterator[str]:
        place = ""  # "{" among matchers, else whose labels these are: "by" or "on"
        for at, token in enumerate(self._tokens):
            before = self._tokens[at - 1] if at else ""
            following = self._tokens[at + 1] if at + 1 < len(self._tokens) else ""
            if token == "{":
                place = token
            elif token == "(" and before in _GROUPINGS:
                place = before
            elif token in ")}":
                place = ""
            elif token[0].isalpha() or token[0] in "_:":
                yield from self._word(token, following, place)

    def _word(self, word: str, following: str, place: str) -> Iterator[str]:
        if place in ("{", "on"):  # `on` stands between two metrics
            yield from self._label(word)
        if place in _GROUPINGS:
            self._expected.append(word)
        if place or _is_operator(word) or _is_function(word, following):
            return
        if word not in self._known:
            yield f"nobody exposes {word}"
        self._metric, expected, self._expected = word, self._expected, []
        for label in expected:
            yield from self._label(label)

    def _label(self, label: str) -> Iterator[str]:
        if label not in self._known.get(self._metric, {label}):
            yield f"{self._metric} has no label {label}"


def _is_operator(word: str) -> bool:
    return word.split()[0] in _OPERATORS | _GROUPINGS  # an offset has its length


def _is_function(word: str, following: str) -> bool:
    return word in _FUNCTIONS and following in ("(", "by")
