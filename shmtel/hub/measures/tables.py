"""Metrics as tables of a TOML file.

    [[metrics]]
    kind = "distribution"
    name = "checkout.duration"
    event = "shop.checkout.stop"
    measurement = "duration"
    unit = "ns->s"
    buckets = [0.1, 0.5, 1, 5]
    tags = ["country"]
    keep = { plan = "pro*" }

Rules: what is not known is refused, with the nearest name there is.
"""

from collections.abc import Callable, Mapping

from shmtel.errors import ConfigurationError
from shmtel.hub.measures import metric
from shmtel.hub.measures.metric import Metric
from shmtel.policy.tables import refuse_unknown

_COMMON = (
    *("kind", "name", "event", "tags", "keep", "drop"),
    *("unit", "description", "series_max"),
)
_OWN: Mapping[str, tuple[str, ...]] = {
    "counter": (),
    "sum": ("measurement",),
    "last_value": ("measurement", "expiry_s"),
    "summary": ("measurement",),
    "distribution": ("measurement", "buckets"),
}
_MAKERS: Mapping[str, Callable[..., Metric]] = {
    kind: getattr(metric, kind) for kind in _OWN
}
_REQUIRED = ("name", "event", "measurement")


def metric_of_table(table: object) -> Metric:
    """Read one metric.

    Raises:
        ConfigurationError: it is none; the text says what is wrong, not where.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError("a metric is a table of keys and values")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _MAKERS:
        raise ConfigurationError(f"`kind` is one of {', '.join(_MAKERS)}, not {kind!r}")
    known = (*_COMMON, *_OWN[kind])
    refuse_unknown(table, known)
    for key in _REQUIRED:
        if key in known and key not in table:
            raise ConfigurationError(f"`{key}` is missing")
    try:
        return _MAKERS[kind](**{k: v for k, v in table.items() if k != "kind"})
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
