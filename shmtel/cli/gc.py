"""`shmtel gc`: removes the segments that are of no use to anybody any more.

A collector does so by itself; this is for where none runs, and to see what is left
lying about, and why.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shmtel.cli import common
from shmtel.cli.errors import ExitCode
from shmtel.segments import Home, home_of

if TYPE_CHECKING:
    from shmtel.cli.removable import Finding

SCHEMA = "shmtel/gc/v1"
_HEADER = ("SEGMENT", "WORKER", "STATE", "WHY", "PID", "KIB", "UNDRAINED")


@click.command()
@common.namespace_option
@click.option(
    "--all", "is_everywhere", is_flag=True, help="Look at every namespace there is."
)
@common.dir_option
@common.state_dir_option
@click.option(
    "-n", "--dry-run", "is_dry", is_flag=True, help="Remove nothing; say what would go."
)
@click.option(
    "--force",
    "is_forced",
    is_flag=True,
    help="Also remove rings of dead workers with events in them; they count as lost.",
)
@common.json_option
@click.pass_context
def command(
    context: click.Context,
    namespace: str,
    is_everywhere: bool,
    directory: str | None,
    state_dir: Path | None,
    is_dry: bool,
    is_forced: bool,
    as_json: bool,
) -> int:
    """Remove rings of dead workers in which nothing is left, and say what stays.

    What a worker or a collector holds is never touched.
    """
    from shmtel.cli.removable import namespaces_in

    home = home_of(directory)
    if is_everywhere and common.is_said(context, "namespace"):
        raise click.UsageError("--all looks at every namespace; leave out --namespace.")
    names = namespaces_in(home) if is_everywhere else [namespace]
    if not is_everywhere:
        common.talk_of_missing_state(namespace, state_dir)
    found: dict[str, list[Finding]] = {}
    for name in names:
        found[name] = _collect(home, name, state_dir, is_dry, is_forced)
    if as_json:
        common.print_json(_document(found, is_forced))
    else:
        _print(found, is_dry, is_forced)
    has_failed = any(finding.failure for some in found.values() for finding in some)
    return ExitCode.FAILED if has_failed else ExitCode.OK


def _collect(
    home: Home, namespace: str, state_dir: Path | None, is_dry: bool, is_forced: bool
) -> "list[Finding]":
    from shmtel.cli.removable import Inspection
    from shmtel.procfs import this_host
    from shmtel_collector.config import state_path
    from shmtel_collector.state import read_finished

    finished, _ = read_finished(state_path(namespace, state_dir))
    written_down = {ring.ring_id for ring in finished}
    inspection = Inspection(home, namespace, this_host(), written_down)
    findings = list(inspection.findings())
    if is_dry:
        return findings
    return list(inspection.remove(findings, is_forced=is_forced))


def _document(found: "dict[str, list[Finding]]", is_forced: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "namespaces": {
            namespace: [
                asdict(finding) | {"is_removable": finding.may_go(is_forced=is_forced)}
                for finding in findings
            ]
            for namespace, findings in found.items()
        },
    }


def _print(found: "dict[str, list[Finding]]", is_dry: bool, is_forced: bool) -> None:
    from shmtel.cli.removable import WHY

    findings = [finding for some in found.values() for finding in some]
    if not findings:
        common.talk(f"nothing is there of {', '.join(found) or 'any namespace'}")
        return
    rows = [_row(finding, is_forced) for finding in findings]
    for line in common.format_table(_HEADER, rows, texts=4):
        click.echo(line)
    for reason in dict.fromkeys(finding.reason for finding in findings):
        click.echo(f"{reason}: {WHY[reason]}")
    _sum_up(findings, is_dry, is_forced)


def _row(finding: "Finding", is_forced: bool) -> tuple[object, ...]:
    if finding.is_removed:
        state = "removed"
    elif finding.failure:
        state = "failed"
    else:
        state = "removable" if finding.may_go(is_forced=is_forced) else "kept"
    kibibytes = finding.bytes >> 10
    return (
        *(finding.segment, finding.worker_id, state, finding.reason),
        *(finding.pid or "", kibibytes, finding.undrained),
    )


def _sum_up(findings: "Sequence[Finding]", is_dry: bool, is_forced: bool) -> None:
    for finding in findings:
        if finding.failure:
            common.talk(f"{finding.segment} stays: {finding.failure}")
    going = [f for f in findings if f.may_go(is_forced=is_forced)]
    gone = going if is_dry else [f for f in findings if f.is_removed]
    verb = "would go" if is_dry else "removed"
    kibibytes = sum(f.bytes for f in gone) >> 10
    common.talk(f"{verb}: {common.count(len(gone), 'segment')}, {kibibytes} KiB")
    events = sum(f.undrained for f in gone)
    if events:
        tense = "would be" if is_dry else "are"
        common.talk(f"{events} events {tense} lost with them, reason evicted")
    left = sum(f.undrained for f in findings if f.reason == "undrained") - events
    if left > 0:
        common.talk(
            f"{left} events stay in rings of dead workers: `shmtel collector` delivers "
            "them, and --force removes them"
        )
