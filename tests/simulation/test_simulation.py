"""Both roles of the uplink in simulated time, seed after seed.

SEED=n runs one seed, SEEDS=n as many as that (`make simulation SEEDS=20000`).
"""

import os
from collections import Counter

from support.simulation import Simulation
from support.simulation_faults import FAULTS

SEEDS = int(os.environ.get("SEEDS", "300"))
# What has to come about in some run, or the simulation proves little.
COVERED = (
    *(fault.__name__ for fault in FAULTS),
    *("DELIVERED", "REJECTED_MALFORMED", "REJECTED_BY_HUB", "LOST_HUB_STATE_LOST"),
    *("redelivered", "closed", "silent", "DrainAsked", "SUPERSEDED", "STALE_EPOCH"),
    *("PROTOCOL_VIOLATION", "SHUTTING_DOWN", "left"),
)


def seeds() -> range:
    """Return the seeds that were asked for."""
    seed = os.environ.get("SEED")
    return range(SEEDS) if seed is None else range(int(seed), int(seed) + 1)


def test_every_event_is_delivered_once_or_counted() -> None:
    """Whatever is cut, lost, killed, frozen or taken back, both sides agree."""
    seen: Counter[str] = Counter()
    for seed in seeds():
        simulation = Simulation(seed)
        simulation.run()
        seen += simulation.seen
    if len(seeds()) >= 300:
        assert [what for what in COVERED if not seen[what]] == []
