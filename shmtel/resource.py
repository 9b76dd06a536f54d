"""What a ring says about the process that made it.

Facts about this process and host that prove who a ring belongs to (boot, pid
namespace, start time), and the msgpack blob that names the worker.
"""

import os
import sys

import msgpack

from shmtel.identities import Identity, program

MAX_BLOB_BYTES = 3840  # RING_RESOURCE_MAX in ring_layout.h


def boot_id() -> bytes:
    """Return the 16 random bytes of this boot of the host."""
    # Without the modules uuid and encodings.ascii, which are imported in every worker
    # that is forked from a parent without a ring: a third of its first event.
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return bytes.fromhex(file.read().replace(b"-", b"").decode())


def pid_namespace() -> int:
    """Return the inode that identifies this process's pid namespace."""
    return os.stat("/proc/self/ns/pid").st_ino


def start_time() -> int:
    """Return when this process started, in clock ticks after boot."""
    with open("/proc/self/stat", "rb") as file:
        # The command, in brackets, may hold anything; field 22 is the 20th after it.
        return int(file.read().rpartition(b")")[2].split()[19])


def describe(identity: Identity, parent_ring: bytes | None) -> bytes:
    """Return the resource blob of a ring: a msgpack map."""
    blob: bytes = msgpack.packb(
        {
            **identity._asdict(),
            "argv0": program(),
            "python": sys.version.split()[0],
            "parent_ring_id": parent_ring,
        }
    )
    if len(blob) > MAX_BLOB_BYTES:
        raise ValueError(f"the resource blob has {len(blob)} bytes")
    return blob
