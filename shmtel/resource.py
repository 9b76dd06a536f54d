"""What a ring says about the process that made it.

Facts about this process and host that prove who a ring belongs to (boot, pid
namespace, start time), and the msgpack blob that names the worker.
"""

import os
import sys
import uuid
from typing import TYPE_CHECKING

import msgpack

if TYPE_CHECKING:
    from shmtel.config import WorkerConfig

MAX_BLOB_BYTES = 3840  # RING_RESOURCE_MAX in ring_layout.h
_MAX_PROGRAM_BYTES = 1024


def boot_id() -> bytes:
    """Return the 16 random bytes of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return uuid.UUID(file.read().strip()).bytes


def pid_namespace() -> int:
    """Return the inode that identifies this process's pid namespace."""
    return os.stat("/proc/self/ns/pid").st_ino


def start_time() -> int:
    """Return when this process started, in clock ticks after boot."""
    with open("/proc/self/stat", "rb") as file:
        # The command, in brackets, may hold anything; field 22 is the 20th after it.
        return int(file.read().rpartition(b")")[2].split()[19])


def worker_id_of(settings: "WorkerConfig") -> str:
    """Return the id as set, `{pid}` filled in; without one, pool name and pid."""
    template = settings.worker_id or f"{settings.pool_name}-{{pid}}"
    return template.replace("{pid}", str(os.getpid()))


def _cut(text: str) -> str:
    """Return what UTF-8 can carry of a text, and the blob has room for."""
    return text.encode("utf-8", "replace")[:_MAX_PROGRAM_BYTES].decode(
        "utf-8", "ignore"
    )


def describe(settings: "WorkerConfig", parent_ring: bytes | None) -> bytes:
    """Return the resource blob of a ring: a msgpack map of text and bytes."""
    program = _cut(str(sys.argv[0]) if sys.argv else "")
    blob: bytes = msgpack.packb(
        {
            "service": settings.service or os.path.basename(program) or "python",
            "worker_id": worker_id_of(settings),
            "pool_name": settings.pool_name,
            "argv0": program,
            "python": sys.version.split()[0],
            "parent_ring_id": parent_ring,
        }
    )
    if len(blob) > MAX_BLOB_BYTES:
        raise ValueError(f"the resource blob has {len(blob)} bytes")
    return blob
