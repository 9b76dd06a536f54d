"""Runs the benchmarks one after another and prints how they stand to their bars.

Each benchmark is a program of its own that prints one JSON object; this runner
prints a table of their rows, and with --store keeps the whole in
benchmarks/results/ and renews what is made of it, the plots and the tables of
benchmarks/README.md. The exit code is 1 if a bar does not hold.

With --smoke every scenario runs with the least of everything, to see that it
runs; no bar is looked at, and nothing can be stored.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = [
    *("worker", "drain", "hub", "stream", "control", "policy"),
    *("footprint", "rivals", "latency", "delivery", "application", "growth"),
    *("hooks", "grpc", "opentelemetry"),
]


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
        bar = "no bar" if row["bar"] is None else f"bar {row['bar']:>12,} {verdict}"
        value = f"{row['value']:>12,.3f} {row['unit']:<16}"
        print(f"  {row['row']:<60} {value} {bar}", flush=True)
    return all(row["holds"] for row in result["rows"])


def main() -> int:
    """Run what was asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", nargs="*", choices=[*BENCHMARKS, []])
    parser.add_argument("--store", action="store_true", help="keep the results")
    parser.add_argument("--smoke", action="store_true", help="see only that it runs")
    parser.add_argument("--draw", action="store_true", help="only plots and tables")
    arguments = parser.parse_args()
    if arguments.smoke:
        if arguments.store:
            parser.error("a smoke run measures nothing that could be stored")
        os.environ["BENCH_SMOKE"] = "1"
    holds = True
    for name in [] if arguments.draw else arguments.benchmark or BENCHMARKS:
        print(name, flush=True)
        began = time.monotonic()
        result = run(name)
        holds &= print_rows(result)
        print(f"  took {time.monotonic() - began:.0f} s", flush=True)
        if arguments.store:
            path = HERE / "results" / f"{name}.json"
            path.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.store or arguments.draw:
        for program in ("plots.py", "tables.py"):
            subprocess.run([sys.executable, str(HERE / program)], check=True)
    return 0 if holds or arguments.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
