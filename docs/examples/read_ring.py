"""Prints what a ring holds: python read_ring.py /dev/shm/shmtel.default.RING_ID

Written from docs/reference/layout.md alone; a number is a step of its HOW TO READ.
Whatever the file holds, it says what that is or raises RingError; it writes nothing.
"""

import os
import sys
from contextlib import suppress
from struct import unpack_from

import msgpack

DROPS = ("ring_full", "too_large", "invalid", "name_table_full", "reentrant", "no_ring")
COUNTERS = ("committed", "bytes", "sampled_out", "filtered", "disabled", *DROPS)
KINDS = ((str, type(None)), dict, (dict, type(None)), (bytes, type(None)))
POWERS = [1 << n for n in range(12, 31)]


class RingError(Exception):
    """The file is no ring, or a damaged one."""


def check(holds, otherwise):
    if not holds:
        raise RingError(otherwise)


class Ring:
    def __init__(self, fd):
        self.fd, self.rejected, self.missed = fd, 0, 0
        check(self.copy(0, 8) == b"stlring1", "not a ring, or not yet one")  # 1
        page = self.copy(0, 4096)
        major, _, self.page, self.capacity, size = unpack_from("<HHIQQ", page, 8)
        check(major == 1, "another version of the layout")
        check(self.page in POWERS[:5] and self.capacity in POWERS[4:], "no geometry")
        self.ring_id, self.pid = page[96:112].hex(), unpack_from("<I", page, 52)[0]
        self.control = 2 * self.page
        self.name_zone = self.control - -5120 // self.page * self.page
        self.data = self.name_zone - -131072 // self.page * self.page
        check(size == self.data + self.capacity <= os.fstat(fd).st_size, "too short")
        counts = unpack_from("<11Q", self.copy(self.page + 256, 88))
        self.counters = dict(zip(COUNTERS, counts, strict=True))

    def copy(self, offset, size):
        data = os.pread(self.fd, size, offset)
        check(len(data) == size, "the file ends too early")
        return data

    def number(self, offset):
        return int.from_bytes(self.copy(offset, 8), "little")

    def names(self):  # 6
        count = min(self.number(self.name_zone) & 0xFFFFFFFF, 1024)
        zone = self.copy(self.name_zone, 131072)
        places = [unpack_from("<IH", zone, 64 + 64 * n) for n in range(count)]
        return [zone[65600:][at : at + n].decode(errors="replace") for at, n in places]

    def records(self):
        for _ in range(16):
            old, new = self.copy(self.control, 1024), self.copy(self.control, 1024)  # 2
            head, seq = unpack_from("<QQ", new, 384 + 320 * (new[256] & 1))
            end = min(self.number(self.page), *unpack_from("<Q", new, 272))  # 3
            start = min(max(head, self.number(self.page + 128)), end)
            size, at = end - start, start % self.capacity
            check(size <= self.capacity, "the positions contradict each other")
            data = self.copy(self.data + at, min(size, self.capacity - at))  # 4
            data += self.copy(self.data, size - len(data))
            skip = max(self.number(self.control), self.number(self.page + 128)) - start
            if old == new and (skip < size or size == 0):  # 5
                return data[max(skip, 0) :], seq, start + max(skip, 0) == head
        raise RingError("the other side is faster than this reader")

    def events(self):
        (data, seq, is_due), names = self.records(), self.names()
        while data:
            length, draw = unpack_from("<II", data.ljust(8))
            size, most = (length + 15) & ~7, min(len(data), self.capacity // 4, 65536)
            check(length >= 31 and size <= most, "no such length of a record")
            array, data = data[8 : 8 + length], data[size:]
            event_id, number, time, threshold = unpack_from(">2xHxQxQxI", array)
            has_head = array[:2] + array[4:23:9] == b"\x98\xcd\xcf\xcf\xce"
            if has_head:
                check(number == seq + 1 or not (is_due or number <= seq), "no such seq")
                self.missed, seq = self.missed + number - seq - 1, number - 1
            seq, is_due, fields = seq + 1, True, [None] * 4
            with suppress(ValueError, msgpack.UnpackException):
                fields = msgpack.unpackb(array)[4:]
            is_event = has_head and event_id < len(names) and threshold <= draw
            if is_event and all(map(isinstance, fields, KINDS)):
                yield names[event_id], seq, time, threshold, *fields
            else:
                self.rejected += 1


if __name__ == "__main__":
    ring = Ring(os.open(sys.argv[1], os.O_RDONLY))
    print(ring.ring_id, ring.pid, ring.counters, *ring.events(), sep="\n")
    print("rejected", ring.rejected, "missed", ring.missed)
