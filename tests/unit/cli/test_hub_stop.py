"""How long the end of `shmtel hub` may take."""

import time

import pytest

from shmtel.cli import hub as hub_verb
from shmtel.hub import Hub


@pytest.mark.parametrize(("spent_s", "least_s", "most_s"), [(0.5, 0.9, 1.0), (9, 0, 1)])
def test_what_hung_before_is_taken_off(
    spent_s: float, least_s: float, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape or a terminal that held up the end leaves the hub what is left of the
    two seconds, and a moment at least."""
    graces: list[float] = []
    hub = Hub("127.0.0.1:0")
    monkeypatch.setattr(hub, "stop", graces.append)
    hub_verb._stop(hub, [], time.monotonic() + hub_verb._STOP_S + 0.3 - spent_s)
    assert least_s < graces[0] <= most_s
