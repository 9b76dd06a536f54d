"""Lines put together into datagrams."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shmtel.hub.bridges.statsd.teller import Line


@dataclass(frozen=True, slots=True)
class Datagram:
    """What is sent at once."""

    data: bytes
    lines: tuple[Line, ...]


def datagrams_of(lines: Iterable[Line], bytes_max: int) -> Iterator[Datagram]:
    """Return as few datagrams as keep the order; a line may be too long for any."""
    held: list[Line] = []
    parts: list[bytes] = []
    size = 0
    for line in lines:
        data = line.data
        if held and size + 1 + len(data) > bytes_max:
            yield Datagram(b"\n".join(parts), tuple(held))
            held, parts, size = [], [], 0
        size += len(data) + bool(held)
        held.append(line)
        parts.append(data)
    if held:
        yield Datagram(b"\n".join(parts), tuple(held))
