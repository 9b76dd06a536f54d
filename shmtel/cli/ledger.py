"""`shmtel ledger`: where every event of a namespace is.

Reads the rings and the collector's state database, and needs no collector. With
--hub it asks a hub for the fleet, see ledger_fleet.py.

Rows are groups of rings and events. As long as nothing is asked by event, a row
is the account of whole rings, which holds more than what is known by name.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shmtel.accounting import SCHEMA
from shmtel.cli import common, ledger_fleet
from shmtel.cli.errors import ExitCode
from shmtel.cli.ledger_tables import RING_WORDS, facts, laws, title, values
from shmtel.segments import home_of

if TYPE_CHECKING:
    from shmtel.accounting.accounts import Account, EventAccount
    from shmtel_collector.ledger import Ledger, RingAccount

BY = ("worker", "event", "reason", "node")
_UNFINISHED = "no_magic"  # its maker never came to emit
_NO_NAME = "(no name)"
_RING_HEADER = ("WORKER", "PID", "STATE")
_EVENT_WORDS = (
    *("emitted", "committed", "dropped", "sampled_out", "filtered", "disabled"),
    *("rejected", "sampled_out_by_collector", "filtered_by_collector"),
    *("disabled_by_collector", "lost", "forwarded"),
)


@click.command()
@common.namespace_option
@common.dir_option
@common.state_dir_option
@common.json_option
@click.option(
    "--hub",
    metavar="ADDR",
    help="Ask this hub for the fleet: host:port, or unix:PATH.",
)
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(BY),
    default=("worker",),
    show_default="worker",
    help="What makes a row; may be repeated.",
)
@click.option(
    "--node", metavar="GLOB", help="Show only hosts whose names match; of a hub."
)
@click.option(
    "--worker",
    default="*",
    metavar="GLOB",
    help="Show only workers whose ids match; `*` crosses dots.",
)
@click.option(
    "--event", metavar="GLOB", help="Show only events whose names match; by name."
)
@click.option(
    "--assert",
    "is_asserted",
    is_flag=True,
    help="Exit with 8 when anything is unaccounted, shown or not, or a ring cannot"
    " be read.",
)
@click.pass_context
def command(
    context: click.Context,
    namespace: str,
    directory: str | None,
    state_dir: Path | None,
    as_json: bool,
    hub: str | None,
    by: tuple[str, ...],
    node: str | None,
    worker: str,
    event: str | None,
    is_asserted: bool,
) -> int:
    """Account for every event: emitted, delivered, or left out, and why."""
    if hub is not None:
        if event is not None or "event" in by:
            raise click.UsageError("A hub has no accounts by event; ask its hosts.")
        ledger_fleet.refuse_local_options(context)
        return ledger_fleet.show(
            hub,
            node=node or "*",
            worker=worker,
            by=by,
            as_json=as_json,
            is_asserted=is_asserted,
            schema=SCHEMA,
        )
    if node is not None or "node" in by:
        raise click.UsageError("These are the rings of one host; nodes need --hub.")
    from shmtel_collector.ledger import read_ledger

    whole = read_ledger(namespace, state_dir, home_of(directory))
    common.talk_of_missing_state(namespace, state_dir)
    _talk(whole, worker)
    shown = whole.of_workers(worker)
    if as_json:
        common.print_json({"schema": SCHEMA, **shown.to_json(event or "*")})
    else:
        _print(shown, [key for key in BY if key in by], event)
    return ExitCode.CHECK_FAILED if is_asserted and not _holds(whole) else ExitCode.OK


def _talk(ledger: "Ledger", worker: str) -> None:
    for segment, reason in ledger.refused.items():
        common.talk(f"{segment} is not read: {reason}")
    for word, counts in ledger.refusals.to_json().items():
        if counts:
            common.talk(f"rings {word} so far: {common.format_reasons(counts)}")
    if not ledger.rings and not ledger.refused:
        common.talk(f"nothing is known of the namespace {ledger.namespace!r}")
    folded = [ring.worker_id for ring in ledger.rings if ring.state == "folded"]
    if folded and worker != "*":
        common.talk(f"{folded[0]} are too long gone to be told apart by worker")


def _holds(ledger: "Ledger") -> bool:
    """Say whether every event is accounted for; one that cannot be seen is not."""
    unseen = set(ledger.refused.values()) - {_UNFINISHED}
    return ledger.total.unaccounted == 0 and not unseen


def _print(ledger: "Ledger", by: Sequence[str], event: str | None) -> None:
    if by == ["worker"] and event is None:
        lines = format_ledger(ledger)
    elif "reason" in by:
        lines = _format_reasons(ledger, by, event)
    else:
        lines = _format_groups(ledger, by, event)
    for line in lines:
        click.echo(line)


def format_ledger(ledger: "Ledger") -> list[str]:
    """Put a line per ring, then both laws over all of them."""
    rows = [
        (*_ring_key(ring), *values(ring.account, RING_WORDS)) for ring in ledger.rings
    ]
    header = (*_RING_HEADER, *map(title, RING_WORDS))
    return [
        *common.format_table(header, rows),
        "",
        *laws(ledger.total),
    ]


def _format_groups(ledger: "Ledger", by: Sequence[str], event: str | None) -> list[str]:
    """Put a line per group, with the words as columns."""
    rows = [
        (*key, *values(account, _EVENT_WORDS))
        for key, account in _groups(ledger, by, event)
    ]
    keys = _keys(by)
    return common.format_table((*keys, *map(title, _EVENT_WORDS)), rows, len(keys))


def _format_reasons(
    ledger: "Ledger", by: Sequence[str], event: str | None
) -> list[str]:
    """Put a line per group, word and reason that has any events."""
    rows = [
        (*key, word, reason, events)
        for key, account in _groups(ledger, by, event)
        for word, reason, events in facts(account)
        if events
    ]
    texts = (*_keys(by), "WORD", "REASON")
    return common.format_table((*texts, "EVENTS"), rows, len(texts))


def _groups(
    ledger: "Ledger", by: Sequence[str], event: str | None
) -> Iterator[tuple[tuple[object, ...], "Account | EventAccount"]]:
    is_by_name = "event" in by or event is not None
    if "worker" not in by:
        if is_by_name:
            yield from _named(ledger.by_event(event or "*"), by)
        else:
            yield (), ledger.total
        return
    for ring in ledger.rings:
        if not is_by_name:
            yield _ring_key(ring), ring.account
            continue
        for key, account in _named(ring.by_event(event or "*"), by):
            yield (*_ring_key(ring), *key), account


def _named(
    events: "dict[str, EventAccount]", by: Sequence[str]
) -> Iterator[tuple[tuple[object, ...], "EventAccount"]]:
    if "event" in by:
        for name, account in events.items():
            if name or any(events for _, _, events in facts(account)):
                yield (name or _NO_NAME,), account
        return
    if events:
        yield (), reduce(lambda one, other: one.plus(other), events.values())


def _ring_key(ring: "RingAccount") -> tuple[object, ...]:
    return ring.worker_id, ring.pid or "", ring.state


def _keys(by: Sequence[str]) -> tuple[str, ...]:
    return (
        *(_RING_HEADER if "worker" in by else ()),
        *(("EVENT",) if "event" in by else ()),
    )
