"""`shmtel demo`: the whole line on real work, in about twenty seconds.

Forked workers parse the standard library; sampling is lowered, a worker is
killed, and at the end everything is accounted for, or the exit code says no.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from shmtel.cli import children, common
from shmtel.cli.errors import ExitCode


@click.command()
@common.dir_option
@click.option("--workers", type=click.IntRange(2, 64), default=4, show_default=True)
def command(workers: int, directory: str | None) -> int:
    """Watch forked workers, steer them, kill one, and see nothing lost."""
    from shmtel.cli.demonstration.screen import Screen
    from shmtel.cli.demonstration.stage import Stage
    from shmtel.cli.demonstration.story import STORY, Verdict

    children.leave_on_signals()
    screen = Screen(sys.stdout)
    held: list[bool] = []

    def judge(verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            held.append(verdict.held)
            mark = "ok  " if verdict.held else "FAIL"
            screen.say(f"  {mark} {verdict.claim}\n       {verdict.numbers}")

    with (
        children.private_directory() as state_dir,
        Stage(Path(state_dir), workers, screen, directory) as stage,
    ):
        for number, (title, step) in enumerate(STORY, start=1):
            screen.say(f"\n{number}. {title}")
            judge(step(stage))
    return ExitCode.OK if all(held) else ExitCode.CHECK_FAILED
