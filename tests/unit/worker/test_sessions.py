"""Sessions, and the workers that they are bound to."""

import os

import pytest

from shmtel.sessions import Session
from shmtel.testing import capture


def test_life_of_a_session() -> None:
    """Made, bound, called, bound elsewhere, and over."""
    with capture() as captured, Session("s-1") as session:
        session.assign("web-0")
        session.called()
        session.called()
        session.assign("web-0")  # as it is
        session.assign("web-1", "balance")
        session.break_affinity("worker_terminated")
        session.break_affinity("there is none")
    told = [(event.name, event.metadata) for event in captured.events]
    assert told == [
        ("session.created", {"session": "s-1"}),
        ("session.affinity.assigned", {"session": "s-1", "subject": "web-0"}),
        (
            "session.affinity.broken",
            {"session": "s-1", "subject": "web-0", "reason": "reassigned"},
        ),
        (
            "session.affinity.assigned",
            {"session": "s-1", "subject": "web-1", "reason": "balance"},
        ),
        (
            "session.affinity.broken",
            {"session": "s-1", "subject": "web-1", "reason": "worker_terminated"},
        ),
        ("session.destroyed", {"session": "s-1"}),
    ]
    end = captured.events[-1].measurements
    assert end["calls"] == 2
    assert end["duration"] > 0


def test_session_ends_once() -> None:
    """Afterwards nothing is told of it."""
    session = Session("s-1")
    with capture() as captured:
        session.destroy("logout")
        session.destroy("expired")
        session.assign("web-0")
    (end,) = captured.events
    assert end.metadata == {"session": "s-1", "reason": "logout"}


def test_exception_is_the_reason() -> None:
    """What leaves the block says why the session is over."""
    with capture() as captured, pytest.raises(KeyError), Session("s-1"):
        raise KeyError
    assert captured.events[-1].metadata["reason"] == "KeyError"


def test_child_tells_nothing_of_its_parent_s_session() -> None:
    """A session that is open at a fork ends once, in the process that has made it."""
    session = Session("s-1")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with capture() as captured:
                session.assign("web-0")
                session.destroy()
            status = 0 if captured.events == [] else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    with capture() as captured:
        session.destroy()
    assert captured.names() == ["session.destroyed"]
