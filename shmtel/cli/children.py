"""Collector and hub as child processes of a verb.

They run by the same interpreter, so they are the same installation, and in a
session of their own: Ctrl-C at the terminal is for the verb, which stops them
in the right order once everything has arrived.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from shmtel.cli.errors import CommandError, ExitCode

_PR_SET_PDEATHSIG = 1
START_S = 15.0  # loading grpc takes a second on a slow, busy machine
STOP_S = 5.0
NO_OWN_EVENTS = (
    "--no-lifecycle",
    *("--status-interval", "0", "--resources-interval", "0"),
)
_LOOK_S = 0.01


def leave_on_signals() -> None:
    """Turn the signals that end a process into its orderly end.

    A verb that has children stops them on its way out; they must not outlive it.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def interpreter() -> list[str]:
    """Return how a child of the same installation is started.

    -P: what lies in the current directory must not be taken for a module.
    """
    return [sys.executable, "-P"]


def start_verb(
    *arguments: str, env: Mapping[str, str] | None = None, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a verb of this program; its talk goes to `log`, else to our stderr."""
    stderr = log.open("wb") if log else None
    try:
        return subprocess.Popen(
            [
                *(*interpreter(), "-m", "shmtel.cli", *arguments),
                *("--parent", str(os.getpid())),
            ],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env=env,
            start_new_session=True,
        )
    finally:
        if stderr:
            stderr.close()


def ring_variables(namespace: str, directory: str | None) -> dict[str, str]:
    """Return what a program must be told to put its rings there."""
    variables = {"SHMTEL_ENABLED": "1", "SHMTEL_NAMESPACE": namespace}
    return variables | ({"SHMTEL_DIR": directory} if directory else {})


def ring_flags(namespace: str, directory: str | None) -> list[str]:
    """Return what a verb must be told to find the rings of such a child."""
    return ["--namespace", namespace, *(["--dir", directory] if directory else [])]


def end_with_parent(parent: int | None) -> None:
    """Let the kernel end this process when the one that started it is gone.

    Even a parent that was killed leaves no hub and no collector behind.
    """
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before we asked
        raise SystemExit(128 + signal.SIGTERM)


def stop_verb(child: subprocess.Popen[bytes]) -> int:
    """End a child in an orderly way, by force if it does not; return its code."""
    if child.poll() is None:
        child.terminate()
    try:
        return child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look until a condition holds; say whether it came in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def wait_for_socket(path: Path, child: subprocess.Popen[bytes]) -> None:
    """Wait until a hub listens.

    Raises:
        CommandError: it ended, or took too long.
    """
    wait_until(lambda: path.exists() or child.poll() is not None, START_S)
    if not path.exists():
        child.kill()
        child.wait()
        raise CommandError("the hub did not start; its own message is above")


def private_directory() -> TemporaryDirectory[str]:
    """Make a directory, for this user only, that goes away with its context."""
    try:
        return TemporaryDirectory(prefix="shmtel-")
    except OSError as error:
        raise CommandError(
            f"no temporary directory: {error}; set TMPDIR to a writable one",
            ExitCode.NO_PERMISSION,
        ) from error
