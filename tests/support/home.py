"""Where the rings of the tests live.

SHMTEL_TEST_DIR names a directory, in which the same tests run on the other back
end; see `make test-file`.
"""

import os

from shmtel.segments import home_of

_DIRECTORY = os.environ.get("SHMTEL_TEST_DIR")

HOME = home_of(_DIRECTORY)
# What a program must be told to share that home.
VARIABLES = (
    {"SHMTEL_DIR": _DIRECTORY, "SHMTEL_TEST_DIR": _DIRECTORY} if _DIRECTORY else {}
)
