"""Where rings live: what counts as a segment of a namespace."""

import os

import pytest

from shmtel import segments
from shmtel.errors import SegmentError
from support.home import HOME
from support.program import fresh_namespace


def test_scan_lists_the_segments_of_one_namespace() -> None:
    """Another namespace's rings, also one with a longer name, are not listed."""
    with fresh_namespace() as namespace, fresh_namespace() as other:
        mine = segments.segment_name(namespace, os.urandom(16))
        os.close(HOME.create(mine))
        os.close(HOME.create(segments.segment_name(other, os.urandom(16))))
        assert HOME.scan(namespace) == [mine]
        assert HOME.scan(namespace[:-1]) == []


def test_only_files_count() -> None:
    """A pipe or a link under a ring's name would trap whoever opens it."""
    with fresh_namespace() as namespace:
        paths = [
            f"{HOME.directory}/{segments.segment_name(namespace, os.urandom(16))}"
            for _ in range(2)
        ]
        os.mkfifo(paths[0])
        os.symlink("/etc/passwd", paths[1])
        try:
            assert HOME.scan(namespace) == []
            for path in paths:  # that came there after they were listed
                for writable in (True, False):
                    with pytest.raises(SegmentError):
                        HOME.open(os.path.basename(path), writable=writable)
        finally:
            for path in paths:
                os.unlink(path)
