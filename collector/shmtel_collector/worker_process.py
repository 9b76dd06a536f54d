"""The process behind a ring: which one it is, and how long it took to get there.

A ring is not a worker: one that was retired is replaced by another of the same
process. Processes are told apart by boot, pid namespace, pid and start time, as the
ring's identity states them, so a pid that is used again is another process.
"""

import os
import struct
import time

from shmtel import _ring

_FORM = struct.Struct("<16sQIQ")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_of(identity: "_ring.Identity") -> bytes:
    """Return what tells a ring's process from all others, also from later ones.

    One whose start is not known has its ring for a name.
    """
    if not identity["start_time"]:
        return identity["ring_id"]
    return _FORM.pack(
        identity["boot_id"],
        identity["pid_namespace"],
        identity["pid"],
        identity["start_time"],
    )


def start_up_ns(identity: "_ring.Identity", boot_id: bytes) -> int | None:
    """Return how long the process ran until it made the ring, to a clock tick.

    None where that is not known. The start is counted from boot and the making by a
    clock that stands still while the host sleeps, so on one that has ever slept, and
    for a ring of another boot, nothing is said.
    """
    if not identity["start_time"] or identity["boot_id"] != boot_id:
        return None
    monotonic_ns = time.monotonic_ns()
    if time.clock_gettime_ns(time.CLOCK_BOOTTIME) - monotonic_ns >= _TICK_NS:
        return None
    passed_ns = identity["monotonic_ns"] - identity["start_time"] * _TICK_NS
    is_possible = passed_ns >= -_TICK_NS and identity["monotonic_ns"] <= monotonic_ns
    return max(passed_ns, 0) if is_possible else None
