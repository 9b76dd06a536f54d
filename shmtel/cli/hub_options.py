"""Options of `shmtel hub` that are judged without loading the hub."""

import click

AUTO, OFF = "auto", "off"
_LEAST_S, _MOST_S = 0.1, 86_400.0


def _judge_status(
    context: click.Context, parameter: click.Parameter, value: str
) -> float | str:
    """Return the seconds, or the word that is said instead."""
    if value in (AUTO, OFF):
        return value
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not _LEAST_S <= seconds <= _MOST_S:
        raise click.BadParameter(
            f"{value!r} is neither {AUTO!r} nor {OFF!r}, nor a number of seconds from "
            f"{_LEAST_S:g} to {_MOST_S:g}."
        )
    return seconds


status_option = click.option(
    "--status",
    default=AUTO,
    show_default=True,
    metavar="SECONDS|auto|off",
    callback=_judge_status,
    help="How often to show what the hub does: a table on a terminal, else lines in"
    " the log.",
)
