"""`python -m support.chaos`: run seeds, one after the other, and say what came of it.

It runs in a mount namespace of its own, where that is permitted, so that disks of
a run can be filled up. What a clean run has left is removed.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from support.chaos.disk import IN_NAMESPACE, namespace_command
from support.chaos.run import run
from support.chaos.sabotage import BY_PROGRAM
from support.chaos.verdict import Verdict
from support.native_build import core_with_points


def main() -> int:
    """Run what the arguments ask for; return the exit code."""
    arguments = _parse()
    if IN_NAMESPACE not in os.environ:
        _enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no process stays behind
    has_disks = os.environ[IN_NAMESPACE] == "1"
    if not has_disks:
        print("no mount namespace is permitted here: no disk is filled up", flush=True)
    verdicts = [
        _run(seed, arguments, has_disks)
        for seed in range(arguments.seed, arguments.seed + arguments.seeds)
    ]
    _sum_up(verdicts)
    return int(any(verdict.flaws for verdict in verdicts))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from SEED on")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--directory", type=Path, help="where failed runs stay")
    parser.add_argument("--core", type=Path, help="the core with points, if built")
    names = [name for names in BY_PROGRAM.values() for name in names]
    parser.add_argument("--sabotage", choices=names, help="a defect on purpose")
    arguments = parser.parse_args()
    if arguments.core is None:
        arguments.core = core_with_points()
    if arguments.directory is None:
        arguments.directory = Path(tempfile.mkdtemp(prefix="shmtel-chaos-"))
    return arguments


def _enter_namespace() -> None:
    """Become the same program in a namespace of its own; or note that it cannot."""
    command = namespace_command()
    if command is None:
        os.environ[IN_NAMESPACE] = "0"
        return
    os.environ[IN_NAMESPACE] = "1"
    again = [sys.executable, "-m", "support.chaos", *sys.argv[1:]]
    os.execvp(command[0], [*command, *again])


def _run(seed: int, arguments: argparse.Namespace, has_disks: bool) -> Verdict:
    directory: Path = arguments.directory / f"seed-{seed}"
    sabotages = {
        program: (arguments.sabotage,)
        for program, names in BY_PROGRAM.items()
        if arguments.sabotage in names
    }
    verdict = run(
        seed, arguments.seconds, directory, arguments.core, sabotages, has_disks
    )
    print(verdict, flush=True)
    if not verdict.flaws:
        shutil.rmtree(directory)
        return verdict
    for flaw in verdict.flaws:
        print(f"  {flaw}")
    again = f"make chaos SEED={seed} SECONDS={arguments.seconds:g}"
    print(f"  all of it is in {directory}; again: {again}", flush=True)
    return verdict


def _sum_up(verdicts: list[Verdict]) -> None:
    clean = sum(not verdict.flaws for verdict in verdicts)
    counts: Counter[str] = Counter()
    for verdict in verdicts:
        counts.update(verdict.faults)
        counts.update(verdict.strikes)
    delivered = sum(verdict.delivered for verdict in verdicts)
    print(f"{clean} of {len(verdicts)} seeds clean, {delivered} events delivered")
    for name, count in sorted(counts.items()):
        print(f"  {name:<34}{count:>6}")


if __name__ == "__main__":
    sys.exit(main())
