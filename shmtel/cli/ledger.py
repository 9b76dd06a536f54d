"""`shmtel ledger`: where every event of a namespace is.

Reads the rings and the collector's state database, and needs no collector.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shmtel.cli import common
from shmtel.cli.errors import ExitCode

if TYPE_CHECKING:
    from shmtel_collector.ledger import Account, Ledger

SCHEMA = "shmtel/ledger/v1"
_UNFINISHED = "no_magic"  # its maker never came to emit
_HEADER = ("WORKER", "PID", "STATE", "EMITTED", "COMMITTED", "DELIVERED", "UNACCOUNTED")


@click.command()
@common.namespace_option
@common.state_dir_option
@common.json_option
@click.option(
    "--assert",
    "is_asserted",
    is_flag=True,
    help="Exit with 8 when something is unaccounted, or a ring cannot be read.",
)
def command(
    namespace: str, state_dir: Path | None, as_json: bool, is_asserted: bool
) -> int:
    """Account for every event: emitted, delivered, or left out, and why."""
    from shmtel_collector.ledger import read_ledger

    ledger = read_ledger(namespace, state_dir)
    for segment, reason in ledger.refused.items():
        common.talk(f"{segment} is not read: {reason}")
    if not ledger.rings and not ledger.refused:
        common.talk(f"nothing is known of the namespace {namespace!r}")
    if as_json:
        common.print_json({"schema": SCHEMA, **ledger.to_json()})
    else:
        for line in format_ledger(ledger):
            click.echo(line)
    return ExitCode.CHECK_FAILED if is_asserted and not _holds(ledger) else ExitCode.OK


def _holds(ledger: "Ledger") -> bool:
    """Say whether every event is accounted for; one that cannot be seen is not."""
    unseen = set(ledger.refused.values()) - {_UNFINISHED}
    return ledger.total.unaccounted == 0 and not unseen


def format_ledger(ledger: "Ledger") -> list[str]:
    """Put a line per ring, then both laws over all of them."""
    rows = [
        (
            *(ring.worker_id, ring.pid or "", ring.state, ring.account.emitted),
            *(ring.account.committed, ring.account.delivered, ring.account.unaccounted),
        )
        for ring in ledger.rings
    ]
    return [
        *common.format_table(_HEADER, rows),
        "",
        *(f"{word:<30}{events:>12}{why}" for word, events, why in _laws(ledger.total)),
    ]


def _laws(total: "Account") -> list[tuple[str, int, str]]:
    """Both laws as lines: a word, its events, and the reasons behind them."""
    document = total.to_json()
    lines = []
    for word, value in document.items():
        reasons = value if isinstance(value, dict) else {}
        why = common.format_reasons(reasons)
        events = sum(reasons.values()) if isinstance(value, dict) else value
        lines.append((_LAW[word] + word, events, f"  ({why})" if why else ""))
    return lines


# How a word enters its law: the sum, what it consists of, and what is left.
_LAW = {
    "emitted": "",
    "committed": "  ",
    "dropped": "  ",
    "sampled_out": "  ",
    "filtered": "  ",
    "disabled": "  ",
    "delivered": "    ",
    "rejected": "    ",
    "sampled_out_by_collector": "    ",
    "filtered_by_collector": "    ",
    "lost": "    ",
    "spooled": "    ",
    "in_flight": "    ",
    "in_ring": "    ",
    "unaccounted": "",
}
