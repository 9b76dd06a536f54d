"""What metrics are called where names are words and underscores.

    latency, ns->s           latency_seconds_bucket, _count, _sum
    shop.orders, counter     shop_orders_total

Rules:
- two metrics may not meet under one name, nor one of them a metric of the hub's own.
"""

import re
from collections.abc import Iterable

from shmtel.hub.measures.metric import Metric

_RESERVED = (
    *("shmtel_hub_", "shmtel_fleet_", "shmtel_bridge_"),
    *("shmtel_build_info", "shmtel_ready", "process_"),
)
_SUFFIXES = {
    "counter": ("", "_total", "_created"),
    "sum": ("", "_total", "_created"),
    "last_value": ("",),
    "summary": ("", "_count", "_sum", "_created"),
    "distribution": ("", "_bucket", "_count", "_sum", "_created"),
}
_TOTAL = "_total"


def family_name(metric: Metric) -> str:
    """Return the name of all series of a metric, without the suffixes of its kind."""
    name = metric.name.replace(".", "_")
    if metric.kind in ("counter", "sum"):
        name = name.removesuffix(_TOTAL)
    word = re.sub(r"\W", "_", metric.unit.word) if metric.kind != "counter" else ""
    if word and not name.endswith(f"_{word}"):
        name = f"{name}_{word}"
    return name


def label_names(metric: Metric) -> tuple[str, ...]:
    """Return the names of the labels, in the order of their values."""
    return tuple(label.replace(".", "_") for label in metric.tags)


def refuse_clashes(metrics: Iterable[Metric]) -> None:
    """Refuse metrics that cannot be told side by side.

    Raises:
        ValueError: two have a name in common; the text says which.
    """
    owners: dict[str, int] = {}
    metrics = list(metrics)
    names: set[str] = set()
    for number, metric in enumerate(metrics):
        if metric.name in names:
            raise ValueError(f"there are two metrics {metric.name!r}; rename one")
        names.add(metric.name)
        family = family_name(metric)
        if family.startswith(_RESERVED):
            raise ValueError(
                f"metric {metric.name!r} would be {family!r}, which is the hub's own; "
                "choose another name"
            )
        if len(set(label_names(metric))) < len(metric.tags):
            raise ValueError(f"two tags of metric {metric.name!r} make one label")
        for suffix in _SUFFIXES[metric.kind]:
            owner = owners.setdefault(family + suffix, number)
            if owner != number:
                raise ValueError(
                    f"metrics {metrics[owner].name!r} and {metric.name!r} would both "
                    f"be {family + suffix!r}; rename one"
                )
