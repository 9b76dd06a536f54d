"""Metrics of events: defined in a few words, counted exactly, told by bridges.

    from shmtel.hub import measures

    orders = measures.counter("orders", "shop.order.stop", tags=["country"])
    hub.attach_metrics([orders])

Rules:
- nothing here knows of a bridge; bridges know `Reading` and `Metric`.
"""

from shmtel.hub.measures.metric import (
    Metric,
    counter,
    distribution,
    last_value,
    sum,
    summary,
)

__all__ = ["Metric", "counter", "distribution", "last_value", "sum", "summary"]
