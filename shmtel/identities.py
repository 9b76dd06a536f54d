"""Who this process is, as the hub will know it."""

import os
import sys
from typing import NamedTuple

from shmtel import _ring, ring
from shmtel.config import WorkerConfig

MAX_PROGRAM_BYTES = 1024


class Identity(NamedTuple):
    """The names of a worker.

    worker_index is the lowest number that was free in the worker's pool; a
    restarted worker takes it over. None: telemetry is off, or it is unknown.
    """

    worker_id: str
    pool_name: str
    service: str
    worker_index: int | None


def identity() -> Identity:
    """Return the names of this process; a forked child has its own."""
    known = _ring.identity()
    if isinstance(known, Identity):
        return known
    if not _ring.is_enabled():
        return name_process(ring.settings_in_force(), None)
    return claim_identity(ring.settings_in_force())


def claim_identity(settings: WorkerConfig) -> Identity:
    """Return the names of this process, with an index that it holds for life.

    The index is claimed each time, for its lock goes with descriptors that the
    program closes. Another worker may have taken it since: then this one has a
    new index, and a name of it.
    """
    from shmtel import segments, worker_index

    home = segments.home_of(settings.directory)
    index = worker_index.claim(settings.namespace, settings.pool_name, home)
    known = _ring.identity()
    if isinstance(known, Identity) and index in (known.worker_index, None):
        return known
    claimed = name_process(settings, index)
    _ring.remember(claimed)
    return claimed


def name_process(settings: WorkerConfig, index: int | None) -> Identity:
    """Fill `{pid}` and `{index}` in; an unknown index becomes `p` and the pid."""
    template = settings.worker_id or f"{settings.pool_name}-{{pid}}"
    pid = str(os.getpid())
    worker_id = template.replace("{pid}", pid).replace(
        "{index}", f"p{pid}" if index is None else str(index)
    )
    service = settings.service or os.path.basename(program()) or "python"
    return Identity(worker_id, settings.pool_name, service, index)


def program() -> str:
    """Return what was started, in what UTF-8 can carry, cut to a bound."""
    text = str(sys.argv[0]) if sys.argv else ""
    return text.encode("utf-8", "replace")[:MAX_PROGRAM_BYTES].decode("utf-8", "ignore")
