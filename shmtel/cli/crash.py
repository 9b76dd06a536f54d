"""`shmtel crash`: workers that have died, and the last that is known of them.

Two sources: what the collector kept when it removed their rings, and the rings of
the dead that are still there. Needs no collector, takes no lock and writes nothing.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shmtel.cli import common
from shmtel.segments import home_of

if TYPE_CHECKING:
    from shmtel.cli.deaths import Death

SCHEMA = "shmtel/crash/v1"
_LAST = 5
_HEADER = ("WORKER", "POOL", "REASON", "ENDED", "PID", "COMMITTED", "DELIVERED")
_HEADER_END = ("DROPPED", "LOST", "OPEN SPANS")
_INDENT = "  "


@click.command()
@click.option(
    "--worker",
    default="*",
    show_default=True,
    metavar="GLOB",
    help="Only workers whose ids match; `*` crosses dots.",
)
@click.option(
    "-n",
    "--last",
    type=click.IntRange(0),
    default=_LAST,
    show_default=True,
    metavar="NUMBER",
    help="Show so many of the last events of each.",
)
@click.option(
    "--all", "is_all", is_flag=True, help="Also those that left in good order."
)
@common.namespace_option
@common.dir_option
@common.state_dir_option
@common.json_option
def command(
    namespace: str,
    directory: str | None,
    state_dir: Path | None,
    worker: str,
    last: int,
    is_all: bool,
    as_json: bool,
) -> None:
    """List dead workers: how they ended, their last events, their open spans."""
    from shmtel.cli.deaths import find_deaths

    deaths = find_deaths(namespace, home_of(directory), state_dir, common.talk)
    common.talk_of_missing_state(namespace, state_dir)
    shown = [
        death
        for death in deaths
        if death.is_of(worker) and (is_all or death.is_untimely)
    ]
    if as_json:
        common.print_json(
            {
                "schema": SCHEMA,
                "namespace": namespace,
                "workers": [_document(death, last) for death in shown],
            }
        )
        return
    if not shown:
        _talk_of_nothing(namespace, deaths)
        return
    for line in _table(shown):
        click.echo(line)
    for death in shown:
        for line in _details(death, last):
            click.echo(line)


def _talk_of_nothing(namespace: str, deaths: "Sequence[Death]") -> None:
    common.talk(f"no worker of the namespace {namespace!r} is known to have died")
    if deaths:
        common.talk(
            f"not shown: {len(deaths)} of another --worker, or that left in good order "
            "(--all shows them)"
        )


def _table(deaths: "Sequence[Death]") -> list[str]:
    rows = []
    for death in deaths:
        end, counts = death.end, death.end.counts
        rows.append(
            (
                *(end.worker.worker_id, end.worker.pool_name, end.reason),
                *(_moment(end.ended_ns), end.worker.pid),
                *(counts.get(word, 0) for word in ("committed", "delivered")),
                *(counts.get(word, 0) for word in ("dropped", "lost")),
                "?" if end.words is None else end.words.open_count,
            )
        )
    return common.format_table((*_HEADER, *_HEADER_END), rows, texts=4)


def _details(death: "Death", last: int) -> Iterator[str]:
    from shmtel.cli.event_lines import text_line

    end, words = death.end, death.end.words
    if words is None or not words.last_seq or not (last or words.open_count):
        return
    yield ""
    yield common.plain(f"{end.worker.worker_id}, pid {end.worker.pid}: {end.reason}")
    if words.open_count:
        yield f"{_INDENT}open spans, by {_covered(death)}:"
        yield from (_INDENT * 2 + text_line(event) for event in death.open_spans())
        if words.open_count > len(words.open_spans):
            more = words.open_count - len(words.open_spans)
            yield f"{_INDENT * 2}... and {more} more"
    elif words.first_seq > 1:
        yield f"{_INDENT}no open spans, by {_covered(death)}"
    if last:
        yield f"{_INDENT}last events:"
        yield from (_INDENT * 2 + text_line(event) for event in death.events(last))


def _covered(death: "Death") -> str:
    """Say what was searched: a span that began before is not known."""
    words = death.end.words
    assert words is not None
    if words.first_seq <= 1:
        return "all of its events"
    return (
        f"its last {words.last_seq - words.first_seq + 1} of {words.last_seq} events; "
        "what began before is not known"
    )


def _document(death: "Death", last: int) -> dict[str, Any]:
    from shmtel.cli.event_lines import json_document

    end, worker, words = death.end, death.end.worker, death.end.words
    return {
        "worker_id": worker.worker_id,
        "pool_name": worker.pool_name,
        "service": worker.service,
        "pid": worker.pid,
        "worker_index": worker.worker_index,
        "ring_id": end.ring_id.hex(),
        "reason": end.reason,
        "source": death.source,
        "created_ns": worker.created_ns,
        "ended_ns": end.ended_ns or None,
        "lifetime_ns": end.lifetime_ns,
        "counts": dict(end.counts),
        "last_words": None
        if words is None
        else {
            "first_seq": words.first_seq,
            "last_seq": words.last_seq,
            "open_span_count": words.open_count,
            "open_spans": [json_document(event) for event in death.open_spans()],
            "events": [json_document(event) for event in death.events(last)],
        },
    }


def _moment(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9):%F %T}" if time_ns else "-"
