"""`shmtel run -- CMD`: a program with telemetry on, and the whole line beside it.

The program runs in the foreground as if it had been started alone: it keeps the
terminal, its signals and its exit code. Hub and collector run beside it in a
private namespace, and end after the collector has read what the program left in
its rings, however it ended.

Signals are taken one by one with sigwaitinfo, because only that tells Ctrl-C at
the terminal, which the program has received too, from a signal sent to us alone,
which must be passed on.
"""

import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from shmtel.cli import children, common
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.cli.observing import observe_namespace

DRAIN_S = 10.0
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_WATCHED = (*_FORWARDED, signal.SIGCHLD)
_FROM_KERNEL = 0x80  # si_code of a signal that the terminal sent


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option(
    "--jsonl",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Append events as JSON lines instead of printing them.",
)
@click.option(
    "--namespace",
    callback=common.judge_namespace,
    help="Default: a new one that nobody else uses.",
)
@click.argument("argv", nargs=-1, required=True, metavar="-- CMD...")
def command(jsonl: str | None, namespace: str | None, argv: tuple[str, ...]) -> int:
    """Run a program with telemetry on; print its events, or write them.

    Returns the program's exit code, and 128+N when signal N ended it.
    """
    namespace = namespace or f"run-{os.getpid()}-{secrets.token_hex(4)}"
    children.leave_on_signals()
    with children.private_directory() as directory:
        return _run_line(Path(directory), namespace, jsonl, argv)


def _run_line(
    directory: Path, namespace: str, jsonl: str | None, argv: Sequence[str]
) -> int:
    socket = directory / "hub.sock"
    sink = ("--jsonl", jsonl) if jsonl else ("--console",)
    line = [
        children.start_verb(
            *("hub", "--log-level", "warning", "--listen", f"unix:{socket}"),
            *("--state-dir", str(directory), *sink),
        )
    ]
    try:
        children.wait_for_socket(socket, line[0])
        line.append(_start_collector(directory, namespace, socket))
        code = _run_program(namespace, argv, line)
        _wait_until_drained(namespace, line)
    finally:
        for child in reversed(line):
            children.stop_verb(child)
    return code


def _start_collector(
    directory: Path, namespace: str, socket: Path
) -> subprocess.Popen[bytes]:
    return children.start_verb(
        *("collector", "--hub", f"unix:{socket}", "--namespace", namespace),
        *("--state-dir", str(directory), "--log-level", "warning"),
    )


def _run_program(
    namespace: str, argv: Sequence[str], line: list[subprocess.Popen[bytes]]
) -> int:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        program = _start_program(namespace, argv, mask)
        _follow(program, line)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = program.returncode
    return code if code >= 0 else 128 - code


def _start_program(
    namespace: str, argv: Sequence[str], mask: set[signal.Signals | int]
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "SHMTEL_ENABLED": "1",
        "SHMTEL_NAMESPACE": namespace,
    }
    try:
        return subprocess.Popen(
            argv,
            env=environment,
            # This process has one thread, so running Python after fork is safe.
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
        )
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]}: not found", ExitCode.NO_SUCH_PROGRAM) from error
    except OSError as error:
        raise CommandError(f"{argv[0]}: {error}", ExitCode.NOT_EXECUTABLE) from error


def _follow(
    program: subprocess.Popen[bytes], line: list[subprocess.Popen[bytes]]
) -> None:
    """Pass signals on until the program ends; say so when its line breaks."""
    watched = list(line)
    while program.poll() is None:
        received = signal.sigwaitinfo(_WATCHED)
        if received.si_signo in _FORWARDED and received.si_code != _FROM_KERNEL:
            program.send_signal(received.si_signo)
        for child in [child for child in watched if child.poll() is not None]:
            watched.remove(child)
            common.talk("hub or collector ended; events stay in the program's rings")


def _wait_until_drained(namespace: str, line: list[subprocess.Popen[bytes]]) -> None:
    """Wait for the last events; a ring that is still in use must only be empty."""

    def is_drained() -> bool:
        rings, _ = observe_namespace(namespace)
        if any(child.poll() is not None for child in line):
            return True
        return not any(ring.state != "alive" or ring.used_bytes for ring in rings)

    children.wait_until(is_drained, DRAIN_S)
    rings, _ = observe_namespace(namespace)
    left = [ring for ring in rings if ring.state != "alive" or ring.used_bytes]
    if left or rings:
        common.talk(
            f"{len(rings)} rings remain in the namespace {namespace!r}, "
            f"{sum(ring.used_bytes for ring in left)} bytes in them unread; "
            f"`shmtel collector --namespace {namespace}` reads them"
        )
