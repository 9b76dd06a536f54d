"""`shmtel ctl`: rules for workers, through this host's collector or a hub.

A rule goes into an overlay of the collector, or into the hub's policy and from
there to its collectors, and acts on a worker's next event. Who is asked judges
it; this only carries it there and the answer back.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shmtel.cli import common
from shmtel.cli.control_options import Place, changing, placed
from shmtel.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from shmtel.policy.model import Action, Selector
    from shmtel.wire.control import Change, ChangeReport
    from shmtel.wire.summary import Summary

_KINDS = ("toggle", "sampling", "filter")


@click.group()
def command() -> None:
    """Change what workers send, and see what is in force.

    Asks the collector of this host, or with --hub the hub of a fleet.
    """


@dataclass(frozen=True, slots=True)
class Wish:
    """What all changes have in common: for whom, where, how long, how patiently."""

    place: Place
    selector: "Selector"
    lifetime_ms: int
    wait_ms: int
    overlay: str
    as_json: bool

    def set(self, *actions: "Action") -> int:
        """Set rules for the selected workers; return the exit code."""
        from shmtel.policy.model import Rule
        from shmtel.wire.control import SetRule, SetRules

        rules = tuple(Rule(self.selector, action) for action in actions)
        return self.make(SetRule(*rules) if len(rules) == 1 else SetRules(rules))

    def make(self, change: "Change") -> int:
        """Make a change, print what became of it, and return the exit code."""
        from shmtel.cli.control_client import ControlClient
        from shmtel.wire.control import ChangeRequest

        request = ChangeRequest(change, self.wait_ms, self.lifetime_ms, self.overlay)
        with ControlClient(self.place.target()) as client:
            report = client.change(request)
        return self._print(report)

    def _print(self, report: "ChangeReport") -> int:
        from shmtel.wire.control_json import change_document
        from shmtel.wire.summary import summary

        found = summary(report)
        if self.as_json:
            common.print_json(change_document(report, found, bool(self.wait_ms)))
        elif self.wait_ms:
            click.echo(str(found))
        else:
            click.echo(f"version {report.version}; --wait tells who has applied it")
        return _exit_code(found) if self.wait_ms else ExitCode.OK


def _exit_code(found: "Summary") -> int:
    if found.is_complete:
        return ExitCode.OK
    if found.rejected or found.applied < found.workers:
        return ExitCode.FAILED
    return ExitCode.NO_ANSWER


@command.command("toggle")
@click.argument("state", type=click.Choice(("on", "off")))
@changing(Wish)
def set_toggle(wish: Wish, state: str) -> int:
    """Switch the telemetry of workers on or off."""
    from shmtel.policy.model import Toggle

    return wish.set(Toggle(state == "on"))


@command.command("sampling")
@click.argument("rate", type=click.FloatRange(0, 1), callback=common.judge_number)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option(
    "--keep-errors",
    is_flag=True,
    help="Keep every *.exception, also of spans that were sampled out.",
)
@changing(Wish)
def set_sampling(
    wish: Wish, rate: float, patterns: tuple[str, ...], keep_errors: bool
) -> int:
    """Keep a share of the events whose names match; of all without a pattern."""
    from shmtel.policy.model import KEPT_ERRORS, Sampling

    errors = (Sampling(1.0, KEPT_ERRORS),) if keep_errors else ()
    return wish.set(Sampling(rate, patterns), *errors)


@command.command("filter")
@click.option("--allow", multiple=True, metavar="GLOB", help="Let only these through.")
@click.option("--deny", multiple=True, metavar="GLOB", help="Leave these out; wins.")
@click.option("--clear", is_flag=True, help="Let everything through again.")
@changing(Wish)
def set_filter(
    wish: Wish, allow: tuple[str, ...], deny: tuple[str, ...], clear: bool
) -> int:
    """Let events through, or leave them out, by their names."""
    from shmtel.policy.model import Filter

    if clear == bool(allow or deny):
        raise click.UsageError("Say --allow or --deny, or --clear alone.")
    return wish.set(Filter(allow, deny))


@command.command("remove")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@changing(Wish, lifetime=False)
def remove_rule(wish: Wish, kind: str, patterns: tuple[str, ...]) -> int:
    """Remove a rule: the one with the same selector, kind and sampling patterns."""
    from shmtel.policy.model import Filter, Rule, Sampling, Toggle
    from shmtel.wire.control import RemoveRule

    if patterns and kind != "sampling":
        raise click.UsageError("Only sampling rules are told apart by patterns.")
    actions: dict[str, Action] = {
        "toggle": Toggle(True),
        "sampling": Sampling(1.0, patterns),
        "filter": Filter(),
    }
    return wish.make(RemoveRule(Rule(wish.selector, actions[kind])))


@command.command("apply")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@changing(Wish, selector=False)
def apply_file(wish: Wish, file: Path) -> int:
    """Replace all rules by the [[rules]] of a TOML FILE."""
    from shmtel.cli.rules_file import read_rules
    from shmtel.wire.control import ReplaceRules

    return wish.make(ReplaceRules(read_rules(file)))


@command.command("reset")
@changing(Wish, selector=False, lifetime=False)
def reset(wish: Wish) -> int:
    """Remove all rules; on a host those of one overlay."""
    from shmtel.wire.control import ReplaceRules

    return wish.make(ReplaceRules())


@command.command("show")
@click.option(
    "--effective",
    metavar="WORKER",
    help="Explain each event name of the workers whose ids match this glob.",
)
@common.json_option
@placed
def show(place: Place, effective: str | None, as_json: bool) -> None:
    """Show the rules that are in force, by layer, and what hosts made of them."""
    from shmtel.cli import control_text
    from shmtel.cli.control_client import ControlClient
    from shmtel.wire import control_json

    with ControlClient(place.target()) as client:
        if effective is None:
            report = client.policy()
            document = control_json.policy_document(report)
            lines = control_text.policy_lines(report, time.time_ns())
        else:
            found = client.explain(effective)
            if not found:
                raise CommandError(f"no worker matches {effective!r}")
            document = control_json.effective_document(found)
            lines = control_text.effective_lines(found, time.time_ns())
    _print(document if as_json else None, lines)


@command.command("workers")
@common.json_option
@placed
def list_workers(place: Place, as_json: bool) -> None:
    """List the workers that the hub or the collector knows."""
    from shmtel.cli import control_text
    from shmtel.cli.control_client import ControlClient
    from shmtel.wire import control_json

    with ControlClient(place.target()) as client:
        found = client.workers()
    document = control_json.workers_document(found)
    _print(document if as_json else None, control_text.worker_lines(found))


def _print(document: object | None, lines: list[str]) -> None:
    if document is not None:
        common.print_json(document)
        return
    for line in lines:
        click.echo(line)
