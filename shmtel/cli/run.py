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
from dataclasses import dataclass
from pathlib import Path

import click

from shmtel.cli import children, common
from shmtel.cli.errors import CommandError, ExitCode
from shmtel.cli.observing import RingStat, observe_namespace
from shmtel.segments import home_of

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
@common.dir_option
@click.argument("argv", nargs=-1, required=True, metavar="-- CMD...")
def command(
    jsonl: str | None,
    namespace: str | None,
    directory: str | None,
    argv: tuple[str, ...],
) -> int:
    """Run a program with telemetry on; print its events, or write them.

    Returns the program's exit code, and 128+N when signal N ended it.
    """
    namespace = namespace or f"run-{os.getpid()}-{secrets.token_hex(4)}"
    children.leave_on_signals()
    with children.private_directory() as state_dir:
        rings = _Rings(namespace, directory)
        return _run_line(Path(state_dir), rings, jsonl, argv)


@dataclass(frozen=True, slots=True)
class _Rings:
    """Where the program's rings are."""

    namespace: str
    directory: str | None

    def observe(self) -> list[RingStat]:
        """Look at each of them."""
        return observe_namespace(self.namespace, home=home_of(self.directory))[0]


def _run_line(
    state_dir: Path, rings: _Rings, jsonl: str | None, argv: Sequence[str]
) -> int:
    socket = state_dir / "hub.sock"
    sink = ("--jsonl", jsonl) if jsonl else ("--console",)
    line = [
        children.start_verb(
            *("hub", "--log-level", "warning", "--listen", f"unix:{socket}"),
            *("--http", "off", "--status", "off"),
            *("--state-dir", str(state_dir), *sink),
        )
    ]
    try:
        children.wait_for_socket(socket, line[0])
        line.append(_start_collector(state_dir, rings, socket))
        code = _run_program(rings, argv, line)
        _wait_until_drained(rings, line)
    finally:
        for child in reversed(line):
            children.stop_verb(child)
    return code


def _start_collector(
    state_dir: Path, rings: _Rings, socket: Path
) -> subprocess.Popen[bytes]:
    return children.start_verb(
        *("collector", "--hub", f"unix:{socket}", "--http", "off"),
        *children.ring_flags(rings.namespace, rings.directory),
        *("--state-dir", str(state_dir), "--log-level", "warning"),
        *children.NO_OWN_EVENTS,  # only the program's are asked for
    )


def _run_program(
    rings: _Rings, argv: Sequence[str], line: list[subprocess.Popen[bytes]]
) -> int:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        program = _start_program(rings, argv, mask)
        _follow(program, line)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    code = program.returncode
    return code if code >= 0 else 128 - code


def _start_program(
    rings: _Rings, argv: Sequence[str], mask: set[signal.Signals | int]
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **children.ring_variables(rings.namespace, rings.directory),
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


def _wait_until_drained(rings: _Rings, line: list[subprocess.Popen[bytes]]) -> None:
    """Wait for the last events; a ring that is still in use must only be empty."""

    def is_drained() -> bool:
        seen = rings.observe()
        if any(child.poll() is not None for child in line):
            return True
        return not any(ring.state != "alive" or ring.used_bytes for ring in seen)

    children.wait_until(is_drained, DRAIN_S)
    seen = rings.observe()
    left = [ring for ring in seen if ring.state != "alive" or ring.used_bytes]
    if left or seen:
        flags = " ".join(children.ring_flags(rings.namespace, rings.directory))
        common.talk(
            f"{len(seen)} rings remain in the namespace {rings.namespace!r}, "
            f"{sum(ring.used_bytes for ring in left)} bytes in them unread; "
            f"`shmtel collector {flags}` reads them"
        )
