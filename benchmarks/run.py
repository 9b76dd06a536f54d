"""Runs the benchmarks one after another and prints how they stand to their bars.

Each benchmark is a program of its own that prints one JSON object; this runner
prints a table of their rows, and with --store keeps the whole in
benchmarks/results/. The exit code is 1 if a bar does not hold.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = ["worker", "drain", "hub", "stream", "control", "policy"]


def run(name: str) -> dict[str, Any]:
    """Run one benchmark and return its JSON."""
    command = [sys.executable, str(HERE / f"bench_{name}.py")]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(output.stdout)
    return result


def print_rows(result: dict[str, Any]) -> bool:
    """Print the rows of a benchmark; return whether every bar holds."""
    for row in result["rows"]:
        verdict = "holds" if row["holds"] else "FALLS SHORT"
        print(
            f"  {row['row']:<52} {row['value']:>12,.3f} {row['unit']:<16}"
            f" bar {row['bar']:>12,} {verdict}",
            flush=True,
        )
    return all(row["holds"] for row in result["rows"])


def main() -> int:
    """Run what was asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", nargs="*", choices=[*BENCHMARKS, []])
    parser.add_argument("--store", action="store_true", help="keep the results")
    arguments = parser.parse_args()
    holds = True
    for name in arguments.benchmark or BENCHMARKS:
        print(name, flush=True)
        result = run(name)
        holds &= print_rows(result)
        if arguments.store:
            path = HERE / "results" / f"{name}.json"
            path.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
