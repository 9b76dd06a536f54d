"""Where exported events come from: files of lines, or the rings of this host."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import IO, TYPE_CHECKING

from shmtel.cli.common import count
from shmtel.cli.errors import CommandError
from shmtel.config import MAX_RING_SIZE
from shmtel.hub.files.line import Line, read_line
from shmtel.stamped import own

if TYPE_CHECKING:
    from shmtel.cli.following import Event
    from shmtel.segments import Home

STDIN = "-"
Say = Callable[[str], None]


def lines_of_files(paths: Sequence[str], say: Say) -> Iterator[Line]:
    """Pass on the events of files of JSON lines, packed or not, one after the other.

    Raises:
        CommandError: a file cannot be read.
    """
    for path in paths:
        try:
            with _open(path) as texts:
                yield from _events(texts, path, say)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(f"cannot read {path}: {reason}") from error


def lines_of_rings(
    namespace: str, worker_glob: str, home: "Home", say: Say
) -> Iterator[Line]:
    """Pass on what is in the rings, in the order of its times."""
    from shmtel.cli.following import Following

    with closing(Following(namespace, worker_glob, say, home)) as following:
        following.look()
        yield from map(_line, following.poll(MAX_RING_SIZE))


def _open(path: str) -> IO[bytes] | gzip.GzipFile:
    if path == STDIN:
        return sys.stdin.buffer
    if path.endswith(".parquet"):
        raise CommandError(
            f"{path} is no file of JSON lines: ask it with pyarrow or DuckDB"
        )
    if path.endswith(".gz"):
        return gzip.open(path)
    return open(path, "rb")


def _events(texts: Iterable[bytes], path: str, say: Say) -> Iterator[Line]:
    others = 0
    for text in texts:
        line = read_line(text)
        if line is None:
            others += 1
        else:
            yield line
    if others:
        say(f"no events, and left out: {count(others, 'line')} of {path}")


def _line(event: "Event") -> Line:
    return Line(
        event=event.name,
        measurements=event.measurements,
        metadata=dict(own(event.metadata)),
        correlation_id=event.correlation_id,
        timestamp_ns=event.timestamp_ns,
        ring_id=event.ring_id,
        seq=event.seq,
        span_id=event.span_id,
        parent_id=event.parent_id,
        sampling_probability=event.sampling_probability,
        worker_id=event.worker.worker_id,
        pool_name=event.worker.pool_name,
        pid=event.worker.pid,
    )
