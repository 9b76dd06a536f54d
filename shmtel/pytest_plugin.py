"""The fixture `shmtel_events`; pytest finds it where shmtel is installed.

`-p no:shmtel` leaves it out.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from shmtel.testing import Capture


@pytest.fixture
def shmtel_events() -> "Iterator[Capture]":
    """What the test emits: a `shmtel.testing.Capture`."""
    from shmtel.testing import capture

    with capture() as captured:
        yield captured
