"""All that a collector tells of the workers on its host, put together."""

import time
from dataclasses import dataclass

from shmtel.procfs import Host
from shmtel_collector.config import CollectorConfig
from shmtel_collector.journal import RingJournal
from shmtel_collector.lifecycle import Lifecycle
from shmtel_collector.lives import Lives
from shmtel_collector.logs import ConditionLog
from shmtel_collector.pools import Pools
from shmtel_collector.resources import Resources
from shmtel_collector.state import State


@dataclass(frozen=True, slots=True)
class Chronicle:
    """Who tells what: of beginnings and ends, of pools, and of processes."""

    journal: RingJournal
    lifecycle: Lifecycle
    lives: Lives
    pools: Pools
    resources: Resources


def chronicle_of(
    config: CollectorConfig, state: State, host: Host, log: ConditionLog
) -> Chronicle:
    """Make them for a collector that starts now."""
    started_ns = time.time_ns()
    note_own_ring = state.policies.note_own_ring
    namespace, directory = config.namespace, config.directory
    journal = RingJournal(namespace, note_own_ring, log, directory=directory)
    is_told = config.lifecycle
    return Chronicle(
        journal,
        Lifecycle(state.ends, journal, log, is_told=is_told),
        Lives(state.lives, journal, log, host.boot_id, started_ns, is_told=is_told),
        Pools(journal, config.status_interval_ns, started_ns),
        Resources(config.resources, journal),
    )
