"""The receiving process of a case: it serves, and answers each line with its count.

The first line it prints is its address and the pids of its processes; the end of
its input is its own.
"""

import json
import sys

from rivals import Sink
from rivals.cases import CASES


def main() -> None:
    """Serve the case that is named, with files in a directory."""
    name, directory = sys.argv[1:]
    answer(CASES[name].serve(directory))


def answer(sink: Sink) -> None:
    """Tell what is asked until the input ends."""
    print(json.dumps([sink.address, list(sink.pids)]), flush=True)
    for _ in sys.stdin:
        print(json.dumps(sink.count()), flush=True)
    sink.close()


if __name__ == "__main__":
    main()
