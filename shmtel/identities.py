"""Who this process is, as the hub will know it."""

import os
import sys
from typing import NamedTuple

from shmtel import _ring, config, ring
from shmtel.config import WorkerConfig

MAX_PROGRAM_BYTES = 1024
PARENT_SUFFIX = ".master"


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


def name_parent() -> str:
    """Name this process as one that makes a pool's workers and is none of them.

    Its pool is `<pool>.master` from its next ring on. A forked child is another
    parent until it calls `name_worker`.

    Returns:
        The name of the pool of the workers.
    """
    settings = config.load()
    room = config.MAX_ID_BYTES - len(PARENT_SUFFIX)
    own = settings.pool_name.encode()[:room].decode("utf-8", "ignore") + PARENT_SUFFIX
    ring.use(settings._replace(pool_name=own, worker_id=None))
    return settings.pool_name


def name_worker() -> None:
    """Name this process as the environment says, after `name_parent`."""
    ring.use(None)


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
