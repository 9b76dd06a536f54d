"""What the tests of the hub leave behind: nothing."""

from collections.abc import Iterator

import pytest

from support.hubs import end_services


@pytest.fixture(autouse=True)
def _ended_services() -> Iterator[None]:
    """End with each test what it made of a hub's parts."""
    yield
    end_services()
