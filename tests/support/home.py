"""Where the rings of the tests live."""

from shmtel.segments import POSIX

HOME = POSIX
