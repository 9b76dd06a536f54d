"""`shmtel stat`: what the workers' rings say, read from the rings themselves.

Needs no collector and disturbs none: an observer takes no lock and writes
nothing. The counters are the workers' own claims; `shmtel ledger` sets them
against what was delivered.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from shmtel import _ring, segments
from shmtel.cli import common
from shmtel.errors import SegmentError

SCHEMA = "shmtel/stat/v1"
_RESOURCE_FIELDS = ("worker_id", "pool_name", "service")


@dataclass(frozen=True, slots=True)
class RingStat:
    """One ring as an observer sees it. Counts are of events."""

    worker_id: str
    pool_name: str
    service: str
    pid: int
    ring_id: str
    state: str  # alive, closed (the worker said good-bye) or dead
    committed: int
    dropped: dict[str, int]
    sampled_out: int
    filtered: int
    disabled: int
    used_bytes: int
    capacity_bytes: int
    high_water_bytes: int

    @property
    def fill(self) -> float:
        """Share of the ring that the collector has not released."""
        return self.used_bytes / self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A segment that is not a ring, or that this user may not read."""

    segment: str
    reason: str


def observe_namespace(namespace: str) -> tuple[list[RingStat], list[Refused]]:
    """Look at every ring of a namespace, once."""
    rings: list[RingStat] = []
    refused: list[Refused] = []
    for seen in _observe_all(namespace):
        if isinstance(seen, RingStat):
            rings.append(seen)
        else:
            refused.append(seen)
    rings.sort(key=lambda ring: (ring.worker_id, ring.pid, ring.ring_id))
    return rings, refused


def _observe_all(namespace: str) -> Iterator[RingStat | Refused]:
    for name in segments.scan(namespace):
        try:
            fd = segments.open_segment(name, writable=False)
        except SegmentError as error:
            if os.path.exists(os.path.join(segments.DIRECTORY, name)):
                yield Refused(name, str(error))
            continue  # else it was removed since the scan
        try:
            yield _observe(fd)
        except _ring.RingError as error:
            yield Refused(name, str(error))
        finally:
            os.close(fd)


def _observe(fd: int) -> RingStat:
    seen = _ring.observe(fd)
    identity, counters = seen["identity"], seen["counters"]
    worker_id, pool_name, service = _decode_resource(identity["resource"])
    return RingStat(
        worker_id=worker_id or f"pid-{identity['pid']}",
        pool_name=pool_name,
        service=service,
        pid=identity["pid"],
        ring_id=identity["ring_id"].hex(),
        state=_state(fd, closed=counters["closed"]),
        committed=counters["committed"],
        dropped=counters["dropped"],
        sampled_out=counters["sampled_out"],
        filtered=counters["filtered"],
        disabled=counters["disabled"],
        used_bytes=max(seen["tail"] - seen["control"]["head"], 0),
        capacity_bytes=identity["capacity"],
        high_water_bytes=counters["high_water"],
    )


def _state(fd: int, *, closed: bool) -> str:
    if _ring.lock_holder(fd) is not None:
        return "alive"
    return "closed" if closed else "dead"


def _decode_resource(blob: bytes) -> tuple[str, ...]:
    """Take the texts that are wanted out of a blob that a worker wrote."""
    import msgpack

    try:
        resource = msgpack.unpackb(blob, strict_map_key=True)
    except (ValueError, msgpack.UnpackException):
        resource = None
    if not isinstance(resource, dict):
        return ("",) * len(_RESOURCE_FIELDS)
    values = (resource.get(field) for field in _RESOURCE_FIELDS)
    return tuple(value if isinstance(value, str) else "" for value in values)


_HEADER = (
    *("WORKER", "PID", "STATE", "COMMITTED", "DROPPED", "SAMPLED_OUT", "FILTERED"),
    *("DISABLED", "FILL", "HIGH WATER"),
)


def _row(ring: RingStat) -> tuple[object, ...]:
    return (
        *(ring.worker_id, ring.pid, ring.state, ring.committed),
        *(sum(ring.dropped.values()), ring.sampled_out, ring.filtered, ring.disabled),
        f"{ring.fill:.0%}",
        f"{ring.high_water_bytes / ring.capacity_bytes:.0%}",
    )


def _print_table(rings: list[RingStat]) -> None:
    for line in common.format_table(_HEADER, [_row(ring) for ring in rings]):
        click.echo(line)
    for ring in rings:
        if sum(ring.dropped.values()):
            reasons = common.format_reasons(ring.dropped)
            click.echo(f"dropped by {ring.worker_id}: {reasons}")


@click.command()
@common.namespace_option
@common.json_option
def command(namespace: str, as_json: bool) -> None:
    """Show each worker's counters and ring, with or without a collector."""
    rings, refused = observe_namespace(namespace)
    for ring in refused:
        common.talk(f"{ring.segment} is not read: {ring.reason}")
    if as_json:
        common.print_json(
            {
                "schema": SCHEMA,
                "namespace": namespace,
                "rings": [asdict(ring) for ring in rings],
                "refused": [asdict(ring) for ring in refused],
            }
        )
    elif rings:
        _print_table(rings)
    else:
        common.talk(f"no rings in the namespace {namespace!r}")
