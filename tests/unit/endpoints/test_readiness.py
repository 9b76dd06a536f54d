"""Readiness in words."""

from shmtel.endpoints.readiness import Check, Readiness

OK = Check("state", True, "in /var")
OPTIONAL = Check("hub", False, "not connected", is_required=False)
FAILED = Check("pass", False, "7.0 s ago")


def test_ready_without_what_is_not_required() -> None:
    """A short answer for machines, all of it for people."""
    readiness = Readiness([OK, OPTIONAL])
    assert readiness.is_ready
    assert readiness.text() == "ready\n"
    assert readiness.text(is_verbose=True).splitlines() == [
        "[+]state ok: in /var",
        "[ ]hub not required: not connected",
        "ready",
    ]


def test_what_fails_is_always_told() -> None:
    """Nobody has to ask twice for the reason."""
    readiness = Readiness([OK, FAILED])
    assert not readiness.is_ready
    assert readiness.text().splitlines() == ["[-]pass failed: 7.0 s ago", "not ready"]


def test_a_check_is_one_line_whatever_it_tells() -> None:
    """The name of a host, or the words of an error, may hold anything."""
    failed = Check("hosts", False, "of \x1b[2J\n\u2028 \ud800")
    line, end = Readiness([failed]).text().split("\n")[:2]
    assert line == r"[-]hosts failed: of \x1b[2J\n\u2028 \ud800"
    assert end == "not ready"
