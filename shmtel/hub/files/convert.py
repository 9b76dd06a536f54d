"""A program: lines of JSON in, Parquet out.

    python -m shmtel.hub.files.convert SOURCE TARGET

It steps aside for whoever else wants the processor.
"""

import os
import sys
from pathlib import Path

from shmtel.hub.files.parquet import read_lines, write_parquet

_NICE = 10


def _main(source: str, target: str) -> None:
    os.nice(_NICE)
    with open(source, "rb") as lines:
        write_parquet(read_lines(lines), Path(target))


if __name__ == "__main__":
    _main(*sys.argv[1:])
