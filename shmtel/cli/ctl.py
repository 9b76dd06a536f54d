"""`shmtel ctl`: rules for workers, through the hub.

A rule goes into the hub's policy, to its collectors, and acts on a worker's
next event. The hub judges it; this only carries it there and the answer back.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from shmtel.cli import common
from shmtel.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from shmtel.policy.model import Action, Rule
    from shmtel.wire.control import ChangeReport

_TIMEOUT_S = 5.0

_worker_option = click.option(
    "--worker",
    default="*",
    show_default=True,
    metavar="GLOB",
    help="Ids of the workers that the rule is for; `*` crosses dots.",
)


@click.group()
def command() -> None:
    """Change what workers send: toggle, sampling, filter."""


def _verb(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a subcommand with the options that all of them have."""

    def register(function: Callable[..., None]) -> click.Command:
        return command.command(name)(common.hub_option(_worker_option(function)))

    return register


@_verb("toggle")
@click.argument("state", type=click.Choice(("on", "off")))
def set_toggle(state: str, worker: str, hub: str) -> None:
    """Switch the telemetry of workers on or off."""
    from shmtel.policy.model import Toggle

    _set_rule(hub, worker, Toggle(state == "on"))


@_verb("sampling")
@click.argument("rate", type=click.FloatRange(0, 1))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
def set_sampling(rate: float, patterns: tuple[str, ...], worker: str, hub: str) -> None:
    """Keep a share of the events whose names match; of all without a pattern."""
    from shmtel.policy.model import Sampling

    _set_rule(hub, worker, Sampling(rate, patterns))


@_verb("filter")
@click.option("--allow", multiple=True, metavar="GLOB", help="Let only these through.")
@click.option("--deny", multiple=True, metavar="GLOB", help="Leave these out; wins.")
@click.option("--clear", is_flag=True, help="Let everything through again.")
def set_filter(
    allow: tuple[str, ...], deny: tuple[str, ...], clear: bool, worker: str, hub: str
) -> None:
    """Let events through, or leave them out, by their names."""
    from shmtel.policy.model import Filter

    if clear == bool(allow or deny):
        raise click.UsageError("Say --allow or --deny, or --clear alone.")
    _set_rule(hub, worker, Filter(allow, deny))


def _set_rule(hub: str, worker: str, action: "Action") -> None:
    from shmtel.policy.model import Rule, Selector

    result = _call_hub(hub, Rule(Selector(worker), action))
    click.echo(f"version={result.version}")


def _call_hub(hub: str, rule: "Rule") -> "ChangeReport":
    import grpc

    from shmtel.wire import control, control_codec

    with grpc.insecure_channel(hub) as channel:
        change = channel.unary_unary(
            control.method_path(control.CHANGE_POLICY),
            request_serializer=control_codec.encode_change_request,
            response_deserializer=control_codec.decode_change_report,
        )
        request = control.ChangeRequest(control.SetRule(rule))
        try:
            result: ChangeReport = change(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise _translate(error, hub) from error
    return result


def _translate(error: Any, hub: str) -> CommandError:
    """Say what the hub said, or that it said nothing."""
    import grpc

    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return CommandError(f"the hub refuses the rule: {error.details()}", 2)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return CommandError(
            f"no hub answers at {hub}; start one with `shmtel hub --listen {hub}`, "
            "or name another with --hub",
            ExitCode.NOT_REACHABLE,
        )
    return CommandError(f"the hub at {hub} failed: {code.name}: {error.details()}")
