"""The workers: forked processes that parse and tokenize the standard library.

Run as a program of its own, because a process that forks must not have loaded
grpc, which the process of the hub has. Each worker goes round its share of the
files until it is told to stop, so that there is work for as long as the
demonstration lasts, on any machine.

Protocol: `argv[1]` is how many workers; one line on stdout holds their pids; the
end of stdin is the end of the work.
"""

import ast
import io
import os
import signal
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path

import shmtel

FILE_SPAN = "source.parse"
FILE_EVENT = "source.file"
FUNCTION_EVENT = "source.function"
_LARGEST_BYTES = 200_000  # a larger file keeps one worker busy for a second
_SKIPPED = frozenset({"site-packages", "dist-packages", "lib2to3", "bad_coding"})


def source_files() -> list[Path]:
    """List the standard library's own sources, in one order everywhere."""
    root = Path(sysconfig.get_path("stdlib"))
    return sorted(
        path
        for path in root.rglob("*.py")
        if not _SKIPPED & set(path.parts) and path.stat().st_size <= _LARGEST_BYTES
    )


def parse_file(path: Path) -> None:
    """Parse and tokenize one file, and tell what was found."""
    metadata = {"file": f"{path.parent.name}/{path.name}"}
    with shmtel.span(FILE_SPAN, metadata):
        source = path.read_bytes()
        tree = ast.parse(source)
        tokens = sum(1 for _ in tokenize.tokenize(io.BytesIO(source).readline))
        for function in _functions(tree):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            shmtel.emit(FUNCTION_EVENT, {"lines": lines}, {"name": function.name})
        shmtel.emit(
            FILE_EVENT,
            {"bytes": len(source), "lines": source.count(b"\n"), "tokens": tokens},
            metadata,
        )


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def work(files: Iterable[Path]) -> None:
    """Parse files until SIGTERM."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    for path in files:
        if stopped:
            return
        try:
            parse_file(path)
        except (SyntaxError, ValueError, tokenize.TokenError):
            continue  # the standard library's tests hold broken files on purpose


def _fork_worker(files: list[Path]) -> int:
    pid = os.fork()
    if pid == 0:
        work(cycle(files))
        sys.exit(0)
    return pid


def main() -> None:
    """Fork the workers; stop them when our stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the demonstration decides
    count, files = int(sys.argv[1]), source_files()
    pids = [_fork_worker(files[index::count]) for index in range(count)]
    print(*pids, flush=True)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
