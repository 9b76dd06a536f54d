"""How an event of the collector names the worker that it is about.

By keys that the hub does not stamp over: `worker_id`, `pool_name` and `pid` of such an
event are the collector's own.
"""

from shmtel.wire.frames import Worker

Pool = tuple[str, str]  # its service and its name
# A pool whose workers have been gone for so long has ended; a next one is a new pool.
POOL_REST_NS = 60_000_000_000


def subject_of(worker: Worker, ring_id: bytes) -> dict[str, str | int]:
    """Return the metadata that names a worker, and one of its rings."""
    index = worker.worker_index
    return {
        "subject": worker.worker_id,
        "subject_pool": worker.pool_name,
        "subject_pid": worker.pid,
        "subject_ring": ring_id.hex(),
        **({} if index is None else {"subject_index": index}),
        "service": worker.service,
    }


def pool_of(worker: Worker) -> Pool:
    """Return the pool of a worker; pools of two services are two."""
    return worker.service, worker.pool_name


def pool_metadata(pool: Pool) -> dict[str, str | int]:
    """Return the metadata that names a pool."""
    service, name = pool
    return {"subject_pool": name, "service": service}
