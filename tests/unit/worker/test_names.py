"""The bounded table of event names."""

import subprocess
import sys

CODE = """
import os
os.environ["SHMTEL_ENABLED"] = "1"
os.environ["SHMTEL_NAMESPACE"] = f"test-{os.getpid()}"
import shmtel
from shmtel import segments
for round in range(2):
    for index in range(1100):
        shmtel.emit("%s" % index, {})
stats = shmtel.stats()
(name,) = segments.scan(os.environ["SHMTEL_NAMESPACE"])
segments.unlink(name)
print(stats["committed"], stats["dropped"]["name_table_full"])
"""


def test_full_table_drops_new_names_only() -> None:
    """After 1,024 names a new one is dropped and counted; the old ones go on."""
    output = subprocess.check_output([sys.executable, "-c", CODE % "event.%d"])
    assert output.split() == [b"2048", b"152"]


def test_full_text_drops_new_names_only() -> None:
    """Names that are too long for the table's text fill it sooner."""
    long = "e" * 200 + "%d"
    committed, full = subprocess.check_output(
        [sys.executable, "-c", CODE % long]
    ).split()
    assert int(committed) + int(full) == 2200
    assert 2 * 300 < int(committed) < 2 * 330
