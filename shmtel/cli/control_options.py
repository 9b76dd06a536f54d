"""The options of `shmtel ctl`: whom to ask, and what all changes share.

A verb gets them as one object, so that its own arguments are all it names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from shmtel.cli import common
from shmtel.cli.durations import judge_duration

if TYPE_CHECKING:
    from shmtel.cli.control_client import Target
    from shmtel.policy.model import Selector

_WAIT_S = 5.0
_WAIT_MAX_S = 3600.0
_SELECTORS = ("worker", "pool", "service", "node")

Verb = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Whom to ask: a hub if there is an address, else this host's collector."""

    hub: str | None
    namespace: str
    socket: Path | None

    def target(self) -> "Target":
        """Return where its service listens.

        Raises:
            CommandError: there is nothing to be asked.
        """
        from shmtel.cli.control_client import host_target, hub_target

        if self.hub is not None:
            return hub_target(self.hub)
        return host_target(self.namespace, self.socket)


class MakeWish(Protocol):
    """What becomes of the options of a change."""

    def __call__(
        self,
        *,
        place: Place,
        selector: "Selector",
        lifetime_ms: int,
        wait_ms: int,
        overlay: str,
        as_json: bool,
    ) -> object:
        """Return what the verb is to get."""


def placed(verb: Verb) -> Verb:
    """Give a verb a Place, from its options."""

    @wraps(verb)
    def call(
        hub: str | None, namespace: str, socket: Path | None, **others: Any
    ) -> Any:
        if hub is not None and socket is not None:
            raise click.UsageError("Say --hub or --socket, not both.")
        return verb(Place(hub, namespace, socket), **others)

    return _decorated(call, _PLACE_OPTIONS)


def changing(
    make: MakeWish, *, selector: bool = True, lifetime: bool = True
) -> Callable[[Verb], Verb]:
    """Give a verb that changes rules a wish, from its options."""

    def decorate(verb: Verb) -> Verb:
        @wraps(verb)
        def call(place: Place, **options: Any) -> Any:
            from shmtel.policy.model import ANY, Selector

            globs = {name: options.pop(name, ANY) for name in _SELECTORS}
            overlay = options.pop("overlay")
            if overlay and place.hub is not None:
                raise click.UsageError("A hub has no overlays; leave out --overlay.")
            wish = make(
                place=place,
                selector=Selector(**globs),
                lifetime_ms=options.pop("lifetime_ms", None) or 0,
                wait_ms=round((options.pop("wait") or 0) * 1000),
                overlay=overlay,
                as_json=options.pop("as_json"),
            )
            return verb(wish, **options)

        chosen = [*(_SELECTOR_OPTIONS if selector else ())]
        chosen += [_FOR_OPTION] if lifetime else []
        return _decorated(placed(call), [*chosen, *_CHANGE_OPTIONS])

    return decorate


def _decorated(verb: Verb, options: Sequence[Callable[[Verb], Verb]]) -> Verb:
    for option in reversed(options):
        verb = option(verb)
    return verb


_PLACE_OPTIONS = [
    click.option(
        "--hub", metavar="ADDR", help="Ask this hub: host:port, or unix:PATH."
    ),
    common.namespace_option,
    click.option(
        "--socket",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Socket of the collector.  [default: that of the namespace]",
    ),
]
_SELECTOR_OPTIONS = [
    click.option(
        f"--{name}",
        default="*",
        show_default=True,
        metavar="GLOB",
        help=help_text,
    )
    for name, help_text in (
        ("worker", "Ids of the workers that the rule is for; `*` crosses dots."),
        ("pool", "Their pools."),
        ("service", "Their services."),
        ("node", "Their hosts."),
    )
]
_FOR_OPTION = click.option(
    "--for",
    "lifetime_ms",
    callback=judge_duration,
    metavar="DURATION",
    help="Revert by itself after this long: 90s, 10m, 2h, 1d.",
)
_CHANGE_OPTIONS = [
    click.option(
        "--wait",
        is_flag=False,
        flag_value=_WAIT_S,
        type=click.FloatRange(0, _WAIT_MAX_S, min_open=True),
        callback=common.judge_number,
        metavar="[SECONDS]",
        help=f"Wait until it is applied, at most so long.  [{_WAIT_S:g} if not said]",
    ),
    click.option(
        "--overlay",
        default="",
        metavar="NAME",
        help="On a host: put the rule into this overlay.  [default: local]",
    ),
    common.json_option,
]
