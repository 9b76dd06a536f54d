"""`shmtel run`: a program with telemetry on keeps what is its own."""

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.home import HOME
from support.line import wait_for_text
from support.program import (
    PROGRAM,
    clean_environment,
    fresh_namespace,
    json_lines,
    shmtel,
    start_shmtel,
    stopped_at_exit,
    worker_program,
)


def _run(
    tmp_path: Path, *lines: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    program = worker_program(tmp_path / "worker.py", lines)
    command = "--jsonl", str(tmp_path / "out.jsonl"), "--", sys.executable, str(program)
    return shmtel("run", *command, **environment)


def test_every_event_arrives_before_run_returns(tmp_path: Path) -> None:
    """The events of a program that ends at once are in the file afterwards."""
    result = _run(tmp_path, 'for n in range(5000): shmtel.emit("a.b", {"n": n})')
    assert result.returncode == 0, result.stderr
    events = json_lines(tmp_path / "out.jsonl")
    assert [event["measurements"]["n"] for event in events] == list(range(5000))
    assert [event["seq"] for event in events] == list(range(1, 5001))


def test_a_line_of_json_has_the_documented_keys(tmp_path: Path) -> None:
    """The keys are those that the guide promises."""
    _run(tmp_path, 'shmtel.emit("a.b", {"n": 1.5}, {"k": "v"}, "order-1")')
    (event,) = json_lines(tmp_path / "out.jsonl")
    assert set(event) == {
        *("event", "measurements", "metadata", "correlation_id", "timestamp_ns"),
        *("ring_id", "seq", "span_id", "parent_id", "sampling_probability"),
        *("node", "worker_id", "pool_name", "pid", "worker_index"),
    }
    assert event["event"] == "a.b"
    assert event["measurements"] == {"n": 1.5}
    assert event["metadata"] == {"k": "v"}
    assert event["correlation_id"] == "order-1"
    assert event["sampling_probability"] == 1.0


def test_hooks_are_the_program_s(tmp_path: Path) -> None:
    """Its collections and errors arrive; `shmtel run` and its line have no hooks."""
    with fresh_namespace() as namespace:
        result = _run(
            tmp_path,
            "import gc",
            "gc.collect(1)",
            "def fail(): raise LookupError('why')",
            "fail()",
            SHMTEL_ENABLED="1",
            SHMTEL_NAMESPACE=namespace,
            SHMTEL_INSTRUMENT="gc,errors",
        )
        assert HOME.scan(namespace) == []
    assert result.returncode == 1
    assert "LookupError: why" in result.stderr
    events = json_lines(tmp_path / "out.jsonl")
    assert {"generation": 1} in [event["metadata"] for event in events]
    assert len({event["pid"] for event in events}) == 1
    (error,) = (e for e in events if e["event"] == "python.error.occurred")
    assert error["measurements"] == {"count": 1}
    assert error["metadata"]["location"].endswith("worker.py:4 in fail")


def test_forked_workers_are_heard(tmp_path: Path) -> None:
    """Each forked child has a ring of its own, and all arrive."""
    _run(
        tmp_path,
        'shmtel.emit("parent", {"n": 0})',
        "for n in range(4):",
        "    if os.fork() == 0:",
        '        shmtel.emit("child", {"n": n})',
        "        os._exit(0)",
        "for n in range(4): os.wait()",
    )
    events = json_lines(tmp_path / "out.jsonl")
    assert sorted(event["event"] for event in events) == ["child"] * 4 + ["parent"]
    assert len({event["ring_id"] for event in events}) == 5


def test_a_program_that_kills_itself_is_heard_to_the_last_event(tmp_path: Path) -> None:
    """After SIGKILL the last events come out of the ring; the code is 128+9."""
    result = _run(
        tmp_path,
        'for n in range(300): shmtel.emit("a.b", {"n": n})',
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert result.returncode == 128 + signal.SIGKILL
    assert len(json_lines(tmp_path / "out.jsonl")) == 300


def test_the_exit_code_is_the_program_s(tmp_path: Path) -> None:
    """An exit code passes through."""
    assert _run(tmp_path, "sys.exit(7)").returncode == 7


def test_a_program_that_does_not_exist() -> None:
    """The code is the shell's, and the message names the program."""
    result = shmtel("run", "--", "no-such-program-here")
    assert result.returncode == 127
    assert "no-such-program-here" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_program_that_may_not_be_executed(tmp_path: Path) -> None:
    """A file without the permission gives 126."""
    file = tmp_path / "plain"
    file.write_text("text")
    result = shmtel("run", "--", str(file))
    assert result.returncode == 126


def test_stdin_and_stdout_are_the_program_s(tmp_path: Path) -> None:
    """Nothing of ours is mixed into the program's data."""
    result = shmtel("run", "--jsonl", str(tmp_path / "o"), "--", "echo", "data")
    assert result.stdout == "data\n"
    assert result.stderr == ""


def test_without_a_file_events_are_printed_on_stderr(tmp_path: Path) -> None:
    """The console line of an event shows its name and values."""
    program = worker_program(
        tmp_path / "w.py", ['shmtel.emit("order.priced", {"total": 59.5})']
    )
    result = shmtel("run", "--", sys.executable, str(program))
    assert result.returncode == 0
    assert "order.priced" in result.stderr
    assert "total=59.5" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    """The program gets the signal, may end in its own way, and is waited for."""
    program = worker_program(
        tmp_path / "w.py",
        [
            f"signal.signal({int(number)}, lambda *_: sys.exit(3))",
            'shmtel.emit("ready", {"n": 1})',
            "print('ready', flush=True)",
            "signal.pause()",
        ],
    )
    jsonl = tmp_path / "out.jsonl"
    command = ("run", "--jsonl", str(jsonl), "--", sys.executable, str(program))
    with stopped_at_exit(start_shmtel(*command)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(20) == 3
    assert [event["event"] for event in json_lines(jsonl)] == ["ready"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Afterwards there is no ring of the private namespace, and no directory."""
    result = _run(
        tmp_path,
        'shmtel.emit("a.b", {"n": 1})',
        'print(os.environ["SHMTEL_NAMESPACE"])',
    )
    assert HOME.scan(result.stdout.strip()) == []


def test_a_process_that_outlives_the_program_is_not_waited_for(tmp_path: Path) -> None:
    """A grandchild keeps its ring; what it had emitted by then has arrived."""
    result = _run(
        tmp_path,
        "emitted, tell = os.pipe()",
        "if pid := os.fork():",
        "    os.read(emitted, 1)",
        '    print(os.environ["SHMTEL_NAMESPACE"], pid)',
        "    sys.exit(0)",
        'shmtel.emit("a.b", {"n": 1})',
        "os.write(tell, b'!')",
        "os.close(1); os.close(2)",
        "signal.pause()",
    )
    namespace, pid = result.stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    for name in HOME.scan(namespace):
        HOME.unlink(name)
    assert result.returncode == 0
    assert len(json_lines(tmp_path / "out.jsonl")) == 1
    assert namespace in result.stderr


def test_ctrl_c_reaches_the_program_once(tmp_path: Path) -> None:
    """The terminal's interrupt is not delivered a second time by `run`."""
    program = worker_program(
        tmp_path / "w.py",
        [
            "got = []",
            "signal.signal(2, lambda *_: got.append(1))",
            "print('ready', flush=True)",
            "while not got: time.sleep(0.01)",
            "time.sleep(0.5)",  # a second one would arrive by then
            'shmtel.emit("interrupts", {"n": len(got)})',
        ],
    )
    jsonl = tmp_path / "out.jsonl"
    command = [str(PROGRAM), "run", "--jsonl", str(jsonl), "--"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            PROGRAM, [*command, sys.executable, str(program)], clean_environment()
        )
    shown = b""
    while b"ready" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    (event,) = json_lines(jsonl)
    assert event["measurements"] == {"n": 1}


def test_a_killed_run_leaves_no_hub_and_no_collector(tmp_path: Path) -> None:
    """The kernel ends both; the program is the user's, and goes on."""
    program = worker_program(
        tmp_path / "w.py",
        [
            'shmtel.emit("ready", {"n": 1})',
            "print(os.getpid(), flush=True)",
            "signal.pause()",
        ],
    )
    jsonl = tmp_path / "out.jsonl"
    with fresh_namespace() as namespace:
        options = ("--namespace", namespace, "--jsonl", str(jsonl))
        command = ("run", *options, "--", sys.executable, str(program))
        with stopped_at_exit(start_shmtel(*command)) as process:
            assert process.stdout is not None
            own = int(process.stdout.readline())
            wait_for_text(jsonl, "ready")
            task = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            children = {int(pid) for pid in task.read_text().split()} - {own}
            pidfds = [os.pidfd_open(pid) for pid in children]
            process.kill()
            ended = [select.select([pidfd], [], [], 10)[0] for pidfd in pidfds]
            os.kill(own, signal.SIGKILL)
    assert len(children) == 2
    assert all(ended), "a child outlived a killed run"
    for pidfd in pidfds:
        os.close(pidfd)
