"""Metrics of events as StatsD and DogStatsD take them: pushed, by datagram.

    from shmtel.hub.bridges.statsd import StatsdBridge, StatsdSettings

    with StatsdBridge(hub.measures, StatsdSettings("unix:/run/dsd.socket")):
        ...

    measures ── told ─► teller ── datagrams ─► target ─► server
                │         │ wording: a line      └ a socket
                │         └ spread: values that stand for buckets
                └ what the server has, by series

Rules:
- what could not be sent is not told, so it is in the increments of the next flush:
  there is no queue, and what waits is bounded by the series that there are.
"""

from shmtel.hub.bridges.statsd.bridge import StatsdBridge
from shmtel.hub.bridges.statsd.settings import StatsdSettings

__all__ = ["StatsdBridge", "StatsdSettings"]
