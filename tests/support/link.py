"""The link of an uplink that nobody wants to hear of."""

from collections.abc import Mapping

from shmtel_collector.journal import Metadata
from shmtel_collector.link_events import JournalSink, LinkEvents


class NoJournal:
    """A journal of those who keep none."""

    is_open = False

    def record(
        self, event: str, measurements: Mapping[str, int], metadata: Metadata
    ) -> None:
        raise AssertionError(f"{event} was not to be told")

    def prepare(self) -> None: ...

    def close(self) -> None: ...


def untold_link() -> LinkEvents:
    """Return what tells nothing."""
    return LinkEvents("hub", "/stream", JournalSink(NoJournal(), is_told=False))
