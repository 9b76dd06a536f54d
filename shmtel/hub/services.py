"""What all streams of a hub share."""

from dataclasses import dataclass

from shmtel.hub.committer import Committer
from shmtel.hub.counters import Counters
from shmtel.hub.desired import DesiredState
from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.event_counts import EventCounts
from shmtel.hub.fleet import Fleet
from shmtel.hub.measures.measures import Measures
from shmtel.hub.sinks import Marks
from shmtel.hub.table import RingTable


@dataclass(frozen=True, slots=True)
class Services:
    """What all streams of a hub share."""

    table: RingTable
    dispatcher: Dispatcher
    fleet: Fleet
    desired: DesiredState
    counters: Counters
    event_counts: EventCounts
    marks: Marks
    measures: Measures
    committer: Committer
