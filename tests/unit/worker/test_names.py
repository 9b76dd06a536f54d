"""The bounded table of event names."""

import subprocess
import sys

CODE = """
import os
os.environ["SHMTEL_ENABLED"] = "1"
os.environ["SHMTEL_NAMESPACE"] = f"test-{os.getpid()}"
import shmtel
from shmtel import ring
for round in range(2):
    for index in range(1100):
        shmtel.emit("@NAME" % index, {})
stats = shmtel.stats()
(name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
ring.home_in_force().unlink(name)
print(stats["committed"], stats["dropped"]["name_table_full"])
"""


def counts(names: str) -> list[int]:
    """Emit 1,100 names twice; return how many were committed and how many not."""
    command = [sys.executable, "-c", CODE.replace("@NAME", names)]
    return [int(word) for word in subprocess.check_output(command, cwd="/").split()]


def test_full_table_drops_new_names_only() -> None:
    """After 1,024 names a new one is dropped and counted; the old ones go on."""
    assert counts("event.%d") == [2048, 152]


def test_full_text_drops_new_names_only() -> None:
    """Names that are too long for the table's text fill it sooner."""
    committed, full = counts("e" * 200 + "%d")
    assert committed + full == 2200
    assert 2 * 300 < committed < 2 * 330
