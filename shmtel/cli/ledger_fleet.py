"""`shmtel ledger --hub`: the ledger of a fleet, as its hub knows it.

Rows are hosts or rings. A hub has no accounts by name, so nothing is asked by
event.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from shmtel.cli import common
from shmtel.cli.errors import ExitCode
from shmtel.cli.ledger_tables import RING_WORDS, facts, laws, title, values

if TYPE_CHECKING:
    from shmtel.accounting.accounts import Account
    from shmtel.accounting.fleet import FleetLedger

_NODE_HEADER = ("NODE", "CONNECTED")
_RING_HEADER = ("NODE", "WORKER", "PID", "STATE")
_LOCAL = ("namespace", "directory", "state_dir")
_NO_NODE = "(earlier)"


def refuse_local_options(context: click.Context) -> None:
    """Refuse what says which rings of this host are meant.

    Raises:
        click.UsageError: a hub was named as well.
    """
    for parameter in context.command.params:
        if parameter.name in _LOCAL and common.is_said(context, parameter.name):
            raise click.UsageError(
                f"A hub knows all its hosts; leave out {parameter.opts[0]}, or --hub."
            )


def show(
    address: str,
    *,
    node: str,
    worker: str,
    by: Sequence[str],
    as_json: bool,
    is_asserted: bool,
    schema: str,
) -> int:
    """Ask the hub, print what it knows, and judge it."""
    from shmtel.accounting.fleet import fleet_ledger
    from shmtel.cli.control_client import ControlClient, hub_target

    with ControlClient(hub_target(address)) as client:
        page = client.ledger()
    whole = fleet_ledger(page.hosts, page.rings)
    _talk(whole)
    shown = whole.of_nodes(node).of_workers(worker)
    if as_json:
        common.print_json({"schema": schema, "hub": address, **shown.to_json()})
    else:
        for line in format_fleet(shown, by):
            click.echo(line)
    holds = whole.total.unaccounted == 0
    return ExitCode.CHECK_FAILED if is_asserted and not holds else ExitCode.OK


def format_fleet(ledger: "FleetLedger", by: Sequence[str]) -> list[str]:
    """Put a line per host or ring, with sums or with reasons."""
    if "reason" in by:
        rows = [
            (*key, word, reason, events)
            for key, account in _groups(ledger, by)
            for word, reason, events in facts(account)
            if events
        ]
        header = (*_header(by), "WORD", "REASON")
        return common.format_table((*header, "EVENTS"), rows, len(header))
    table = [
        (*key, *values(account, RING_WORDS)) for key, account in _groups(ledger, by)
    ]
    header = _header(by)
    words = map(title, RING_WORDS)
    lines = common.format_table((*header, *words), table, len(header))
    return [*lines, "", *laws(ledger.total)]


def _header(by: Sequence[str]) -> tuple[str, ...]:
    if "worker" in by:
        return _RING_HEADER
    return _NODE_HEADER if "node" in by else ()


def _groups(
    ledger: "FleetLedger", by: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], "Account"]]:
    if "worker" in by:
        for ring in ledger.rings:
            key = (ring.node or _NO_NODE, ring.worker_id, ring.pid or "", ring.state)
            yield key, ring.account
    elif "node" in by:
        for known in ledger.hosts:
            host = known.host
            is_connected = "yes" if host.connected else "no"
            yield (host.node or _NO_NODE, is_connected), known.account
    else:
        yield (), ledger.total


def _talk(ledger: "FleetLedger") -> None:
    if not ledger.hosts:
        common.talk("the hub knows of no host yet")
    for known in ledger.hosts:
        host = known.host
        if host.host_id and not host.connected:
            common.talk(
                f"{common.plain(host.node)} is not connected; its numbers are of "
                f"{_moment(host.as_of_ns)}"
            )


def _moment(realtime_ns: int) -> str:
    if not realtime_ns:
        return "before the hub was started"
    moment = datetime.fromtimestamp(realtime_ns / 1e9, UTC)
    return moment.isoformat(timespec="seconds")
