"""A Redis server of a test's own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.processes import wait_until


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Run it on a unix socket; gives its URL."""
    socket = directory / "redis.sock"
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed"
    process = subprocess.Popen(
        [
            *(program, "--port", "0", "--unixsocket", str(socket)),
            *("--dir", str(directory), "--save", "", "--daemonize", "no"),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(socket.exists, 20)
        yield f"redis+socket://{socket}"
    finally:
        process.terminate()
        process.wait(20)
