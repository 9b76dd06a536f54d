"""Waiting for the answers of hosts."""

import threading

import pytest

from shmtel.hub.answers import ENDED, TOO_LATE, Answers
from shmtel.policy.model import PolicyStatus
from shmtel.wire.control import HostReport
from support.hubs import WAIT_S

HOSTS = [("a", HostReport("a", "a")), ("b", HostReport("b", "b"))]


@pytest.mark.parametrize(
    ("status", "is_answer"),
    [
        (PolicyStatus("o", 5), True),
        (PolicyStatus("o", 6), True),
        (PolicyStatus("o", 4), False),
        (PolicyStatus("p", 5), False),
        (PolicyStatus(), False),
    ],
)
def test_what_counts_as_an_answer(status: PolicyStatus, is_answer: bool) -> None:
    """This version or a later one of the same origin, and nothing else."""
    answers = Answers(("o", 5), HOSTS[:1])
    answers.take("a", status)
    assert answers.awaits("a") is not is_answer
    (report,), _ = answers.wait(0.0)
    assert report.status == (status if is_answer else None)
    assert report.missing == ("" if is_answer else TOO_LATE)


def test_the_first_answer_counts() -> None:
    """What a host says later, or that its stream ends, changes nothing."""
    answers = Answers(("o", 5), HOSTS[:1])
    answers.take("a", PolicyStatus("o", 5))
    answers.take("a", PolicyStatus("o", 6))
    answers.lose("a")
    (report,), _ = answers.wait(WAIT_S)
    assert (report.status, report.missing) == (PolicyStatus("o", 5), "")


def test_a_wait_ends_with_the_last_of_them() -> None:
    """One host answers and the other's stream ends; nobody waits on."""
    answers = Answers(("o", 5), HOSTS)
    waited: list[list[HostReport]] = []
    thread = threading.Thread(target=lambda: waited.append(answers.wait(WAIT_S)[0]))
    thread.start()
    answers.lose("b")
    answers.take("a", PolicyStatus("o", 5))
    thread.join(WAIT_S)
    assert [report.missing for report in waited[0]] == ["", ENDED]


def test_nobody_to_wait_for() -> None:
    """Without hosts there is nothing to wait for, and it took no time."""
    assert Answers(("o", 5), []).wait(WAIT_S) == ([], 0)


def test_a_wait_can_be_given_up() -> None:
    """Whoever has gone does not hold the place until the time is over."""
    answers = Answers(("o", 5), HOSTS)
    answers.give_up()
    reports, duration_ns = answers.wait(WAIT_S)
    assert [report.missing for report in reports] == [TOO_LATE] * 2
    assert duration_ns < WAIT_S * 1e9
