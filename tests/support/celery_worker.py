"""A Celery worker of the application that is instrumented, and its client."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.noted_line import NotedLine

SUPPORT = str(Path(__file__).parent.parent)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EXPIRES_S = 1.0


class CeleryScene:
    """Where the worker and its client run, and over which broker."""

    def __init__(self, line: NotedLine, directory: Path, redis: str = "") -> None:
        self.directory = directory
        for name in ("queue", "control", "results"):
            (directory / name).mkdir(parents=True)
        self.variables = line.environment(
            PYTHONPATH=SUPPORT,
            SHMTEL_POOL_NAME="tasks",
            TOLD_DIRECTORY=str(directory),
            TOLD_REDIS=redis,
            TOLD_EXPIRES_S=str(EXPIRES_S),
            TOLD_TRACE=TRACE,
        )

    def send(self, kind: str) -> None:
        """Send tasks of a kind."""
        client = (sys.executable, "-m", "support.told_celery", kind)
        subprocess.run(client, env=self.variables, cwd="/", check=True, timeout=30)

    def release(self) -> None:
        """Let go of the tasks that hold a process."""
        (self.directory / "release").touch()

    @contextmanager
    def worker(self, *options: str) -> Iterator[None]:
        """Run a worker with two processes until the block ends, in good order."""
        path = self.directory / "celery.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "support.told_celery"),
                    *("worker", "--pool", "prefork", "--concurrency", "2", *options),
                    *("--without-gossip", "--without-mingle", "--loglevel", "warning"),
                ],
                env=self.variables,
                cwd="/",
                stdout=log,
                stderr=log,
            )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert "Signal handler" not in path.read_text()
            assert "ShmtelWarning" not in path.read_text()
        except BaseException:
            sys.stderr.write(path.read_text())
            raise
        finally:
            process.kill()
            process.wait()
