"""Forged and broken rings, each with the reason by which a user hears of it.

A kind has two steps. `lay` puts it beside the good rings; `spoil`, where there is
one, breaks it when the collector has drained it: so damage is met at attach and
in the middle of the work.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shmtel import segments
from support.home import HOME
from support.processes import wait_until
from support.ring_builder import RingBuilder
from support.ring_layout import (
    MAGIC,
    ControlZone,
    Identity,
    NamesZone,
    ProducerZone,
)

REFUSED, QUARANTINED, REJECTED = "refused", "quarantined", "rejected"
EVENTS = 3  # good ones in every forged ring


def _nothing(ring: RingBuilder) -> None:
    """Leave the ring as it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of being hostile, and what it is counted as."""

    name: str
    word: str
    reasons: tuple[str, ...]  # one of them
    lay: Callable[[RingBuilder], None] = _nothing
    spoil: Callable[[RingBuilder], None] = _nothing


def _identity(**fields: int) -> Callable[[RingBuilder], None]:
    return lambda ring: ring.poke(Identity, **fields)


def _tail(tail: int) -> Callable[[RingBuilder], None]:
    return lambda ring: ring.poke(ProducerZone, tail=tail)


def _record(length: int) -> Callable[[RingBuilder], None]:
    def spoil(ring: RingBuilder) -> None:
        ring.append_array(b"x" * 40, length=length)

    return spoil


def _jump(ring: RingBuilder) -> None:
    ring.append(0, seq=ring.seq + 7)


def _bad_name(ring: RingBuilder) -> None:
    ring.poke(NamesZone, name_count=0)
    ring.write(ring.names_offset + NamesZone.text.offset, b"\xff\xfe\xfd")
    ring.poke(NamesZone, name_count=1)


def _threshold(ring: RingBuilder) -> None:
    ring.append(0, threshold=1 << 30, draw=1 << 31)


def _cut(size: int) -> Callable[[RingBuilder], None]:
    return lambda ring: os.ftruncate(ring.fd, size)


RINGS = (
    Kind("another version", REFUSED, ("version",), _identity(abi_major=999)),
    Kind("4 GiB of capacity", REFUSED, ("geometry",), _identity(capacity=1 << 32)),
    Kind("short from the start", REFUSED, ("truncated",), _cut(8192)),
    Kind("no process", REFUSED, ("identity",), _identity(pid=0)),
    Kind("wrong owner", REFUSED, ("owner",), _identity(uid=os.getuid() + 1)),
    Kind("no UTF-8", QUARANTINED, ("names",), _bad_name),
    Kind("tail backwards", QUARANTINED, ("positions",), spoil=_tail(8)),
    Kind("tail ahead", QUARANTINED, ("positions",), spoil=_tail(1 << 40)),
    Kind("length 0", QUARANTINED, ("record",), spoil=_record(0)),
    Kind("length 4 GiB", QUARANTINED, ("record",), spoil=_record(0xFFFFFFFF)),
    Kind("length past the end", QUARANTINED, ("record",), spoil=_record(4096)),
    Kind("seq ahead", QUARANTINED, ("sequence",), spoil=_jump),
    Kind("cut while read", QUARANTINED, ("truncated", "io"), spoil=_cut(0)),
    Kind("forged threshold", REJECTED, ("bad_threshold",), spoil=_threshold),
)


class Forged:
    """A ring of one kind; its maker is alive as far as its lock tells."""

    def __init__(self, namespace: str, kind: Kind) -> None:
        self.kind = kind
        self.ring = RingBuilder(
            namespace=namespace, resource={"worker_id": kind.name}, publish=False
        )
        self.ring.hold_lock()
        self.ring.add_name("forged")
        for _ in range(EVENTS):
            self.ring.append(0)
        kind.lay(self.ring)
        self.ring.poke(Identity, magic=MAGIC)  # as the last, like a producer

    def spoil(self) -> None:
        """Take the second step, after the good events were acknowledged."""
        if self.kind.spoil is not _nothing:
            wait_until(self._is_drained, 30)
            self.kind.spoil(self.ring)

    def _is_drained(self) -> bool:
        return bool(self.ring.peek(ControlZone).head == self.ring.tail)


def lay_no_rings(namespace: str, target: str) -> dict[str, str]:
    """Put what is no ring under rings' names; return the reasons by name."""

    def name() -> str:
        return segments.segment_name(namespace, os.urandom(16))

    link, second, pipe, directory = name(), name(), name(), name()
    os.symlink(HOME.path(target), HOME.path(link))
    os.link(HOME.path(target), HOME.path(second))
    os.mkfifo(HOME.path(pipe))
    Path(HOME.path(directory)).mkdir()
    return {
        link: "link",
        second: "wrong_name",
        pipe: "not_a_file",
        directory: "not_a_file",
    }


def remove_no_rings(names: dict[str, str]) -> None:
    """Remove what `lay_no_rings` put there."""
    for name in names:
        path = Path(HOME.path(name))
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
