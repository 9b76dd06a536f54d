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
