"""The page on HTTP against what the hub tells."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from shmtel.accounting.accounts import Account
from shmtel.endpoints.resources import LIMIT_DEFAULT, LIMIT_MAX, Query
from shmtel.hub import Hub, api, probes, watched
from shmtel.hub.event_counts import NAMES_MAX, EventCount
from shmtel.hub.insight import KnownRing, KnownWorker
from shmtel.hub.readiness import LIMIT_S
from shmtel.hub.readiness import Readiness as HubReadiness
from shmtel.wire.control import HostLedger, RingLedger
from shmtel.wire.frames import Worker

PAGE = (Path(__file__).parents[2] / "docs/reference/http.md").read_text()
HOST, WORKER = HostLedger("h", "node"), Worker("w")
RING = KnownRing(HOST, RingLedger("h", WORKER, b"r", 0, {}), "live", Account(), 1)
ROWS = {
    "workers": api._worker_row(KnownWorker(HOST, WORKER, "live", Account(), 1, 1)),
    "rings": api._ring_row(RING),
    "events": api._event_row(EventCount("a")),
}
ACCOUNT = {*(field.name for field in fields(Account)), "emitted", "unaccounted"}


def _section(name: str) -> str:
    return re.split(r"\n##+ ", PAGE.split(f"\n### {name}\n")[1])[0]


def test_every_resource_has_a_section() -> None:
    """With its parameters, in their order, and what stands beside its rows."""
    with Hub("127.0.0.1:0") as hub:
        resources = {resource.name: resource for resource in api.resources(hub)}
        assert re.findall(r"^### (\w+)$", PAGE, re.M) == list(resources)
        for name, resource in resources.items():
            line = re.search(r"^Parameters: (.*)\.$", _section(name), re.M)
            assert line is not None
            assert re.findall(r"`(\w+)`", line[1]) == list(resource.parameters())
            for key in resource.read(Query()).keys() - {"schema", "matched", "next"}:
                assert name in ("ledger", "policy") or f"`{key}`" in _section(name)


@pytest.mark.parametrize("name", ROWS)
def test_every_key_of_a_row_is_told(name: str) -> None:
    """And none that is not there; an account has a paragraph of its own."""
    cells = re.findall(r"^\| ((?:`\w+`|, |account)+) \|", _section(name), re.M)
    told = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
    keys = set(ROWS[name])
    if "account" in cells:
        assert keys >= ACCOUNT
        keys -= ACCOUNT
    assert told == keys


def test_the_words_of_an_account() -> None:
    """All of them, and no other."""
    line = next(line for line in PAGE.splitlines() if "has these keys" in line)
    assert set(re.findall(r"`(\w+)`", line)) == ACCOUNT


def test_the_checks_of_the_hub() -> None:
    """Each has its row."""
    checks = [check.name for check in watched._checks(HubReadiness(True), 0)]
    assert re.findall(r"^\| hub \| `/readyz` \| `(\w+)`", PAGE, re.M) == checks
    assert f"more than {LIMIT_S:g} seconds" in PAGE


def test_numbers_and_names() -> None:
    """Those that are promised are those of the code."""
    assert f"1 to {LIMIT_MAX}, and {LIMIT_DEFAULT} if it is not said" in PAGE
    assert f"Beyond {NAMES_MAX:,} names" in PAGE
    assert f"there may be {probes.PROBES_MAX} at a time" in PAGE
    assert f"`{probes.HEALTH}`" in PAGE
