"""What was removed undrained: a small file beside the rings, kept for good.

    shmtel.<namespace>.evicted.<uid>    one for each user and namespace

It holds the sum of the accounts of the rings that were evicted, so that the ledger
still balances without them. Its two slots are written in turn, each with a
generation and a checksum; the newest sound one is in force. So a reader needs no
lock, and a writer may be killed at any instruction.

A ring is evicted in four steps: its account is noted as pending, its segment gets
the name of a tomb, the account is added to the sum, the tomb is removed. Whoever
comes after a kill in between looks for the tomb: with one a pending account counts,
without one nothing has happened, whatever became of the ring since.

Rules:
- one writer at a time, by flock, which a second thread of a process does not share;
  nobody waits for it, and it is unlocked by hand, for a child that was forked in the
  meantime would keep it;
- the room is taken when the file is made, before there is need: a full file system
  must not keep anybody from noting what leaves it.
"""

import fcntl
import json
import os
import stat
import struct
from binascii import crc32
from collections.abc import Callable
from typing import Any, NamedTuple

from shmtel.errors import ShmtelError
from shmtel.interruptions import pass_on
from shmtel.segments import Home, above_standard_streams

SLOT_BYTES = 8192
_SLOTS = 2
_COUNT_END = 1 << 96  # billions of rings with the largest counters there are
_LOOKS = 16  # a removal takes microseconds
_HEAD = struct.Struct("<IIQ")  # checksum of all that follows, length, generation
_READ = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

Account = dict[str, Any]  # counts by name, and tables of counts by name


class DamagedEvictions(ShmtelError):
    """The file holds no sound slot."""


class _State(NamedTuple):
    """What a slot says; `pending` is the account of a ring that may be in its tomb."""

    generation: int
    total: Account
    pending: Account | None = None


def file_name(namespace: str, uid: int) -> str:
    """Return the name of the file of a user."""
    return f"shmtel.{namespace}.evicted.{uid}"


def _tomb_name(namespace: str, uid: int) -> str:
    return f"shmtel.{namespace}.evicting.{uid}"


def add(left: Account, right: Account) -> Account:
    """Return the sum of two accounts, table by table."""
    result = dict(left)
    for key, count in right.items():
        is_table = isinstance(count, dict)
        known = result.get(key, {} if is_table else 0)
        result[key] = add(known, count) if is_table else known + count
    return result


class Evictions:
    """The file of this user, open for writing."""

    def __init__(self, home: Home, namespace: str, fd: int) -> None:
        """Take over a locked descriptor, and end a removal that was cut short."""
        self._home = home
        self._fd = fd
        self._tomb = _tomb_name(namespace, os.geteuid())
        self._state = _read(fd)
        if self._state.pending is not None:
            has_tomb = _has_tomb(home, self._tomb, os.geteuid())
            self._write(_counted(self._state, has_tomb), None)
        home.unlink(self._tomb)

    @classmethod
    def open(cls, home: Home, namespace: str) -> "Evictions | None":
        """Open the file, making it where needed; None while somebody else has it.

        Raises:
            OSError: it cannot be used.
            DamagedEvictions: it holds no sound slot.
        """
        flags = _READ | os.O_RDWR | os.O_CREAT
        path = home.path(file_name(namespace, os.geteuid()))
        fd = above_standard_streams(os.open(path, flags, 0o600))
        try:
            _check(fd, os.geteuid())
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_size < _SLOTS * SLOT_BYTES:
                os.fchmod(fd, 0o600)
                os.posix_fallocate(fd, 0, _SLOTS * SLOT_BYTES)
            return cls(home, namespace, fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            _close(fd)
            raise

    def evict(self, name: str, account: Account) -> None:
        """Remove a segment and count its account.

        Raises:
            SegmentError: it stays, and is not counted.
            OSError: likewise.
        """
        self._write(self._state.total, account)
        self._home.rename(name, self._tomb)
        self._write(add(self._state.total, account), None)
        self._home.unlink(self._tomb)

    def close(self) -> None:
        """Let others have it."""
        _close(self._fd)

    def _write(self, total: Account, pending: Account | None) -> None:
        state = _State(self._state.generation + 1, total, pending)
        text = json.dumps({"total": total, "pending": pending}).encode()
        body = struct.pack("<IQ", len(text), state.generation) + text
        slot = struct.pack("<I", crc32(body)) + body
        if len(slot) > SLOT_BYTES:
            raise OSError(f"the account of what was evicted has {len(slot)} bytes")
        os.pwrite(self._fd, slot, state.generation % _SLOTS * SLOT_BYTES)
        self._state = state


def read_evictions(
    home: Home, namespace: str, damaged: dict[str, str] | None = None
) -> Account:
    """Return the sum of what was evicted, of this user; of all users to the superuser.

    Args:
        damaged: gets the files that hold no sound slot, by name, with the reason.

    Raises:
        DamagedEvictions: a file holds no sound slot, and `damaged` was not given.
    """
    total: Account = {}
    for uid in _users(home, namespace):
        try:
            fd = os.open(home.path(file_name(namespace, uid)), os.O_RDONLY | _READ)
        except OSError:  # not there, or not ours to read
            continue
        try:
            _check(fd, uid)
            total = add(total, _look(home, namespace, uid, fd))
        except PermissionError:  # somebody's, under the name of another
            continue
        except DamagedEvictions as error:
            if damaged is None:
                raise
            damaged[file_name(namespace, uid)] = str(error)
        finally:
            os.close(fd)
    return total


def _users(home: Home, namespace: str) -> list[int]:
    """Another user's file would be foreign input without an end: who may not change
    it anyway does not believe it."""
    if os.geteuid() != 0:
        return [os.geteuid()]
    prefix = file_name(namespace, 0).removesuffix("0")
    try:
        names = os.listdir(home.directory)
    except OSError:
        return []
    ends = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(int(end) for end in ends if end.isdecimal() and len(end) <= 10)


def _check(fd: int, uid: int) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != uid:
        raise PermissionError("the file belongs to somebody else, or is none")


def _close(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def _read(fd: int) -> _State:
    data = os.pread(fd, _SLOTS * SLOT_BYTES, 0)
    if not data.strip(b"\0"):  # nothing was ever noted
        return _State(0, {})
    slots = (data[start : start + SLOT_BYTES] for start in (0, SLOT_BYTES))
    states = [state for slot in slots if (state := _parse(slot)) is not None]
    if not states:
        raise DamagedEvictions("the account of evicted rings is damaged")
    return max(states, key=lambda state: state.generation)


def _parse(slot: bytes) -> _State | None:
    if len(slot) < _HEAD.size:
        return None
    checksum, length, generation = _HEAD.unpack_from(slot)
    end = _HEAD.size + length
    if end > len(slot) or crc32(slot[4:end]) != checksum:
        return None
    try:
        fields = json.loads(slot[_HEAD.size : end])
        total, pending = fields["total"], fields["pending"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    is_sound = _is_account(total) and (pending is None or _is_account(pending))
    return _State(generation, total, pending) if is_sound else None


def _is_account(value: Any) -> bool:
    """Judge what is foreign to whoever reads another user's file."""
    return isinstance(value, dict) and all(
        name in _JUDGES and _JUDGES[name](item) for name, item in value.items()
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _COUNT_END


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_totals(value: Any) -> bool:
    return _is_table(value) and all(map(str.isdecimal, value))


def _are_claims(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_table(item) if name == "dropped" else name in _CLAIMS and _is_count(item)
        for name, item in value.items()
    )


_CLAIMS = ("committed", "sampled_out", "filtered", "disabled")
_JUDGES: dict[str, Callable[[Any], bool]] = {
    "rings": _is_count,
    "last_seq": _is_count,
    "totals": _is_totals,
    "claims": _are_claims,
}


def _look(home: Home, namespace: str, uid: int, fd: int) -> Account:
    """Return the sum, though somebody may be evicting: state and tomb of one moment."""
    tomb = _tomb_name(namespace, uid)
    state = _read(fd)
    for _ in range(_LOOKS):
        has_tomb = _has_tomb(home, tomb, uid)
        again = _read(fd)
        if again.generation == state.generation:
            break
        state = again
    return _counted(state, has_tomb)


def _has_tomb(home: Home, tomb: str, uid: int) -> bool:
    """Say whether a user's ring is in the tomb; anybody may put something there."""
    try:
        return os.lstat(home.path(tomb)).st_uid == uid
    except OSError as error:
        pass_on(error)
        return False


def _counted(state: _State, has_tomb: bool) -> Account:
    """Return the sum with what a writer that was killed had not come to add."""
    if state.pending is None or not has_tomb:
        return state.total
    return add(state.total, state.pending)
