"""What is found in /dev/shm, and what is done with what is not a ring."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shmtel import _ring, segments
from shmtel.errors import SegmentError
from shmtel.segments import Home
from shmtel_collector.discovery import RESCAN_NS, REST_NS, SETTLE_NS, Discovery
from support.emitter import Emitter
from support.home import HOME
from support.quiet_log import QuietLog
from support.ring_layout import Identity, offset_of

MINUTE_NS = 60_000_000_000
_UID_OFFSET = offset_of(Identity, "uid")
StartWorker = Callable[..., Emitter]


class Finder:
    """A discovery, its clock, and what it has found so far."""

    def __init__(self, namespace: str) -> None:
        self.log = QuietLog()
        self.discovery = Discovery(namespace, self.log, HOME)
        self.now_ns = 0
        self.found: dict[str, _ring.Consumer] = {}

    def poll(self, after_ns: int = RESCAN_NS) -> list[str]:
        """Let time pass, look, and return the names that are new."""
        self.now_ns += after_ns
        found = self.discovery.poll(self.now_ns)
        new = {ring.name: ring.consumer for ring in found}
        self.found |= new
        return list(new)


@pytest.fixture
def finder(namespace: str) -> Iterator[Finder]:
    """A discovery of the namespace."""
    finder = Finder(namespace)
    yield finder
    for consumer in finder.found.values():
        consumer.close()


def test_ring_is_found_once(finder: Finder, start_worker: StartWorker) -> None:
    """A ring is handed over when it appears, and not again."""
    assert finder.poll() == []
    worker = start_worker()
    worker.emit(1)
    assert finder.poll(after_ns=1) == [worker.ring_name()]
    assert finder.poll() == []


@pytest.mark.parametrize(("is_open", "pause_ns"), [(False, REST_NS), (True, RESCAN_NS)])
def test_listing_waits_for_a_change(
    finder: Finder, namespace: str, is_open: bool, pause_ns: int
) -> None:
    """Between changes it is listed a moment later, then seldom, or not so seldom.

    The latter while there is something that may yet become a ring.
    """
    if is_open:
        os.close(HOME.create(segments.segment_name(namespace, bytes(16))))
    listed: list[int] = []
    really_scan = HOME.scan_kinds

    def scan(home: Home, name: str) -> dict[str, str]:
        listed.append(finder.now_ns)
        return really_scan(name)

    finder.poll(after_ns=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Home, "scan_kinds", scan)
        patch.setattr(Home, "changed_ns", lambda home: 42)
        step = SETTLE_NS // 2
        for _ in range(2 * pause_ns // step + 5):
            finder.poll(after_ns=step)
    assert listed == [step, step + SETTLE_NS] + [
        step + SETTLE_NS + pause_ns * count for count in (1, 2)
    ]


def test_forgotten_ring_is_found_again(
    finder: Finder, start_worker: StartWorker
) -> None:
    """A ring that was let go is found like a new one."""
    worker = start_worker()
    worker.emit(1)
    (name,) = finder.poll()
    finder.found.pop(name).close()
    finder.discovery.forget(name)
    assert finder.poll() == [name]


def test_ring_of_another_consumer_is_looked_at_again(
    finder: Finder, start_worker: StartWorker
) -> None:
    """A ring that is taken is no refusal; it is ours once it is free."""
    worker = start_worker()
    worker.emit(1)
    other = worker.consumer()
    assert finder.poll() == []
    assert finder.poll() == []
    assert len(finder.log.lines) == 1
    other.close()
    assert finder.poll() == [worker.ring_name()]


def test_own_ring_is_left_alone(
    finder: Finder, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring of the collector's own process is never opened."""
    worker = start_worker()
    worker.emit(1)
    ring_id = bytes.fromhex(worker.ring_name().rpartition(".")[2])
    monkeypatch.setattr(_ring, "own_rings", lambda: [ring_id])
    assert finder.poll() == []


def _segment(namespace: str, content: bytes) -> str:
    name = segments.segment_name(namespace, os.urandom(16))
    fd = HOME.create(name)
    os.write(fd, content)
    os.close(fd)
    return name


def test_unfinished_segment_is_left_for_a_minute(
    finder: Finder, namespace: str
) -> None:
    """A segment without magic may be a ring in the making; an old one is removed."""
    name = _segment(namespace, bytes(8192))
    assert finder.poll() == []
    assert finder.poll(after_ns=MINUTE_NS) == []
    assert finder.log.lines == []
    assert HOME.scan(namespace) == [name]
    finder.poll()
    assert HOME.scan(namespace) == []


def test_unfinished_segment_with_an_old_date_is_left_as_well(
    finder: Finder, namespace: str
) -> None:
    """When the wall clock jumps, a ring in the making is suddenly old."""
    name = _segment(namespace, bytes(8192))
    os.utime(f"{HOME.directory}/{name}", (0, 0))
    finder.poll(after_ns=2 * MINUTE_NS)
    assert HOME.scan(namespace) == [name]


def test_old_unfinished_segment_that_is_locked_stays(
    finder: Finder,
    namespace: str,
    start_worker: StartWorker,
) -> None:
    """Whoever holds the lock may still publish the ring."""
    worker = start_worker()
    worker.emit(1)
    name = worker.ring_name()
    with open(f"{HOME.directory}/{name}", "r+b", buffering=0) as file:
        file.write(bytes(8))
    finder.poll()
    finder.poll(after_ns=2 * MINUTE_NS)
    assert HOME.scan(namespace) == [name]


def test_refused_ring_is_counted_and_logged_once(
    finder: Finder, start_worker: StartWorker
) -> None:
    """A ring of another layout is left alone, and the others are served."""
    worker, good = start_worker(), None
    worker.emit(1)
    name = worker.ring_name()
    with open(f"{HOME.directory}/{name}", "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"\xff\xff", 8)  # the version
    good = start_worker()
    good.emit(1)
    assert finder.poll() == [good.ring_name()]
    finder.poll()
    assert finder.discovery.refusals == {"version": 1}
    assert len(finder.log.lines) == 1
    assert name in HOME.scan(name.split(".")[1])


def test_refusal_ends_with_the_segment(
    finder: Finder, start_worker: StartWorker
) -> None:
    """A name that was refused is looked at again when something else has it."""
    worker = start_worker()
    worker.emit(1)
    path = Path(HOME.directory, worker.ring_name())
    good = path.read_bytes()
    path.write_bytes(good[:8] + b"\xff\xff" + good[10:])
    assert finder.poll() == []
    path.unlink()
    assert finder.poll() == []
    path.write_bytes(good)
    assert finder.poll() == [path.name]


def test_ring_under_a_borrowed_name_is_refused(
    finder: Finder, namespace: str, start_worker: StartWorker
) -> None:
    """The id inside a ring must be the one in its name."""
    worker = start_worker()
    worker.emit(1)
    name = worker.ring_name()
    borrowed = segments.segment_name(namespace, os.urandom(16))
    directory = HOME.directory
    os.rename(f"{directory}/{name}", f"{directory}/{borrowed}")
    assert finder.poll() == []
    assert finder.discovery.refusals == {"wrong_name": 1}


def _put_link(path: Path) -> None:
    path.symlink_to("/dev/null")


def _put_pipe(path: Path) -> None:
    os.mkfifo(path)


def _put_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("put", "reason"),
    [(_put_link, "link"), (_put_pipe, "not_a_file"), (_put_directory, "not_a_file")],
)
def test_what_is_no_file_is_refused_unopened(
    finder: Finder, namespace: str, put: Callable[[Path], None], reason: str
) -> None:
    """A link, a pipe or a directory under a ring's name is counted and left alone."""
    path = Path(HOME.path(segments.segment_name(namespace, os.urandom(16))))
    put(path)
    try:
        assert finder.poll() == []
        assert finder.poll() == []
        assert finder.discovery.refusals == {reason: 1}
        assert os.path.lexists(path)
    finally:
        path.rmdir() if reason != "link" and path.is_dir() else path.unlink()


def test_link_is_not_opened_either(namespace: str, start_worker: StartWorker) -> None:
    """A link that takes a file's place after the listing is not followed."""
    worker = start_worker()
    worker.emit(1)
    link = segments.segment_name(namespace, os.urandom(16))
    os.symlink(HOME.path(worker.ring_name()), HOME.path(link))
    try:
        with pytest.raises(SegmentError, match=link):
            HOME.open(link, writable=True)
    finally:
        os.unlink(HOME.path(link))


@pytest.mark.parametrize("is_first", [True, False])
def test_second_name_of_a_ring_is_refused(
    finder: Finder, namespace: str, start_worker: StartWorker, is_first: bool
) -> None:
    """A hard link is refused, be it seen before or after the ring itself."""
    worker = start_worker()
    worker.emit(1)
    second = segments.segment_name(namespace, (b"\0" if is_first else b"\xff") * 16)
    if not is_first:
        assert finder.poll() == [worker.ring_name()]
    os.link(HOME.path(worker.ring_name()), HOME.path(second))
    assert finder.poll() == ([worker.ring_name()] if is_first else [])
    assert finder.discovery.refusals == {"wrong_name": 1}


def test_second_name_of_the_own_ring_is_not_opened(
    finder: Finder, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open and close it would drop the lock that proves this process alive."""
    name = _segment(namespace, bytes(8192))
    second = segments.segment_name(namespace, os.urandom(16))
    os.link(HOME.path(name), HOME.path(second))
    fd = os.open(HOME.path(name), os.O_RDWR)
    monkeypatch.setattr(_ring, "own_rings", lambda: [bytes.fromhex(name[-32:])])
    monkeypatch.setattr(_ring, "own_descriptor", lambda: fd)
    monkeypatch.setattr(Home, "open", None)
    finder.poll()
    os.close(fd)
    assert finder.discovery.refusals == {"wrong_name": 1}


def test_ring_of_another_owner_is_refused(
    finder: Finder, start_worker: StartWorker
) -> None:
    """Whoever made a file speaks for no other user."""
    worker = start_worker()
    worker.emit(1)
    with open(HOME.path(worker.ring_name()), "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), (os.getuid() + 1).to_bytes(4, "little"), _UID_OFFSET)
    assert finder.poll() == []
    assert finder.discovery.refusals == {"owner": 1}
