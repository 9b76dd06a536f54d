"""The sentences about what became of a change."""

import pytest

from shmtel.policy.model import PolicyStatus, Rejection, Traits, WorkerResult
from shmtel.wire.control import ChangeReport, HostReport
from shmtel.wire.summary import LINES_MAX, Summary, summary


def _host(node: str, *failures: str, **fields: int | Rejection) -> HostReport:
    """Return the answer of a host with one worker for each failure text."""
    workers = tuple(
        WorkerResult(bytes(16), Traits(f"w-{number}"), failure)
        for number, failure in enumerate(failures)
    )
    status = PolicyStatus("o", 1, workers=workers, **fields)  # type: ignore[arg-type]
    return HostReport(node, node, status)


def _summary(*hosts: HostReport) -> Summary:
    return summary(ChangeReport("o", 7, hosts, 12_300_000))


def test_all_workers_have_applied_it() -> None:
    """The sentence of the good case, over several hosts, and no other line."""
    done = _summary(_host("a", *[""] * 5), _host("b", *[""] * 3))
    assert str(done) == "applied by 8 of 8 workers in 12 ms"
    assert done.is_complete


def test_a_worker_that_has_not_is_named_with_its_reason() -> None:
    """Who did not apply it stands in a line of its own."""
    done = _summary(_host("a", "", "its ring is damaged"))
    assert done.text == "applied by 1 of 2 workers in 12 ms"
    assert done.problems == ("worker 'w-1' on a: its ring is damaged",)
    assert not done.is_complete


@pytest.mark.parametrize(
    ("host", "line"),
    [
        (_host("b", rejection=Rejection(3, "why")), "b: rule 3 was rejected: why"),
        (_host("b", rejection=Rejection(0, "why")), "b: the policy was rejected: why"),
        (
            HostReport("b", "id", None, "its stream has ended"),
            "b: no answer (its stream has ended)",
        ),
        (HostReport("", "id"), "id: no answer (none in time)"),
    ],
)
def test_a_host_that_has_not_is_never_left_out(host: HostReport, line: str) -> None:
    """A host that refused or is silent spoils the good news of the others."""
    done = _summary(_host("a", ""), host)
    assert done.text == "applied by 1 of 1 worker in 12 ms, but not by 1 of 2 hosts"
    assert done.problems == (line,)
    assert not done.is_complete


def test_no_host_has_answered() -> None:
    """Without any answer nothing is called applied."""
    done = _summary(HostReport("a", "a"), HostReport("b", "b"))
    assert done.text == "applied by no host of 2 in 12 ms"
    assert (done.missing, done.is_complete) == (2, False)


def test_nobody_is_there() -> None:
    """Without collectors the change is kept for those that come."""
    assert _summary().text == "kept as version 7; no collector is connected"


def test_no_worker_is_selected() -> None:
    """A change that concerns no worker of now is in force all the same."""
    done = _summary(_host("a"))
    assert done.text == "in force in 12 ms; it selects no worker that is there now"
    assert done.is_complete


def test_workers_that_were_not_listed_are_mentioned() -> None:
    """A list that was cut is not passed off as whole."""
    done = _summary(_host("a", "", unlisted=2))
    assert done.problems == ("a: 2 more workers not listed one by one",)


def test_foreign_text_cannot_reach_the_terminal_as_control_characters() -> None:
    """Names of workers and reasons of hosts are escaped and bounded."""
    hostile = "\x1b[2J\n" + "x" * 10_000
    status = PolicyStatus(
        workers=(WorkerResult(b"", Traits("\x07"), hostile),),
    )
    (line,) = _summary(HostReport("a\nb", "a", status)).problems
    assert line.isprintable()
    assert line.startswith(r"worker '\x07' on a\nb: \x1b[2J\nxxx")
    assert len(line) < 300


def test_the_number_of_lines_is_bounded() -> None:
    """A host of a thousand broken workers does not flood the terminal."""
    done = _summary(_host("a", *["broken"] * 1_000))
    assert len(done.problems) == LINES_MAX + 1
    assert done.problems[-1] == f"and {1_000 - LINES_MAX} lines more like these"
