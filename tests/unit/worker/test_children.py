"""What a parent knows of its children."""

import os
import signal
import time

import pytest

from shmtel.children import BOOTED, BOOTING, ChildExit, Page, exit_of
from support.processes import wait_until


def test_page_is_shared_with_the_child() -> None:
    """What the child writes the parent reads, while they run and afterwards."""
    page = Page()
    assert (page.state, page.requests) == (BOOTING, 0)
    pid = os.fork()
    if pid == 0:
        page.state = BOOTED
        page.add_requests(1)
        page.add_requests(1)
        page.add_requests(-1)
        os._exit(0)
    os.waitpid(pid, 0)
    assert (page.state, page.requests) == (BOOTED, 1)


def test_requests_do_not_fall_below_zero() -> None:
    """An end without a beginning does not make a worker busy for ever."""
    page = Page()
    page.add_requests(-1)
    assert page.requests == 0


@pytest.mark.parametrize(
    ("status", "number", "expected"),
    [
        (3, None, ChildExit(status=3)),
        (0, None, ChildExit(status=0)),
        (0, signal.SIGKILL, ChildExit(signal_name="SIGKILL")),
        (0, signal.SIGRTMIN + 5, ChildExit(signal_name="signal 39")),
    ],
)
def test_end_is_told_and_the_child_is_left_to_be_reaped(
    status: int, number: int | None, expected: ChildExit
) -> None:
    """It may be asked again, until somebody reaps it."""
    pid = os.fork()
    if pid == 0:
        if number is None:
            os._exit(status)
        time.sleep(60)
        os._exit(1)
    if number is not None:
        assert exit_of(pid) is None  # it lives
        os.kill(pid, number)
    assert wait_until(lambda: exit_of(pid)) == expected
    assert exit_of(pid) == expected
    assert os.waitpid(pid, 0)[0] == pid
    assert exit_of(pid) is None


def test_reasons() -> None:
    """One word for each way."""
    ways = (ChildExit(status=0), ChildExit(signal_name="SIGKILL"), ChildExit())
    assert [way.reason for way in ways] == ["exit", "signal", "unknown"]
