"""The hot path makes no system call: the kernel kills whoever makes one."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.processes import environment
from support.program import (
    fresh_namespace,
    shmtel,
    start_shmtel,
    stopped_at_exit,
)

pytestmark = pytest.mark.system

COUNT = 1_000_000
DEADLINE_S = 60.0

# From the filter on, any call but the one that ends the process is death by
# SIGSYS. The filter is four BPF instructions: load the number of the call,
# compare, allow, kill.
CODE = """
import ctypes, os, platform, struct, sys
from shmtel import emit, span

EXIT_GROUP = {"x86_64": 231, "aarch64": 94}[platform.machine()]
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000

def forbid_system_calls():
    steps = ((0x20, 0, 0, 0), (0x15, 0, 1, EXIT_GROUP), (6, 0, 0, ALLOW),
             (6, 0, 0, KILL_PROCESS))
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = ctypes.create_string_buffer(code)
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, header, 0, 0) == 0  # PR_SET_SECCOMP, filter

measurements = {"duration": 1234567, "bytes": 5000}
metadata = {"tool": "predict", "model": "gpt-4", "worker": "worker_1"}
def run(count):
    for _ in range(count):
        emit("tool.execution.stop", measurements, metadata, "abcdef0123456789")
    for _ in range(count):
        with span("tool.execution", metadata, "abcdef0123456789"):
            pass
run(10)
quit_now, extra = os._exit, BODY
forbid_system_calls()
run(COUNT)
extra()
quit_now(0)
"""


def run_worker(
    namespace: str, count: int, extra: str = "lambda: None", **variables: str
) -> int:
    """Run the program under the filter and return how it ended."""
    variables.setdefault("SHMTEL_RING_SIZE", "1GiB")
    code = CODE.replace("BODY", extra).replace("COUNT", str(count))
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env=environment(namespace, **variables),
        timeout=100,
        check=False,
    )
    return result.returncode


def total_of(namespace: str, state_dir: Path) -> dict[str, Any]:
    """Return the ledger's sums."""
    result = shmtel(
        *("ledger", "--json", "--namespace", namespace, "--state-dir", str(state_dir))
    )
    total: dict[str, Any] = json.loads(result.stdout)["total"]
    return total


def test_no_system_call_while_a_collector_drains(tmp_path: Path) -> None:
    """A million emits and spans live under the filter, and all are delivered."""
    hub = f"unix:{tmp_path / 'hub.sock'}"
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        for arguments in (
            ("hub", "--listen", hub),
            (
                *("collector", "--hub", hub, "--namespace", namespace),
                *("--state-dir", str(tmp_path)),
            ),
        ):
            stack.enter_context(stopped_at_exit(start_shmtel(*arguments)))
        assert run_worker(namespace, COUNT) == 0
        expected = 3 * (COUNT + 10)
        deadline = time.monotonic() + DEADLINE_S
        while total_of(namespace, tmp_path)["delivered"] < expected:
            assert time.monotonic() < deadline, total_of(namespace, tmp_path)
            time.sleep(0.2)
        total = total_of(namespace, tmp_path)
        assert total["committed"] == total["delivered"] == expected
        assert total["unaccounted"] == 0


def test_no_system_call_where_the_ring_is_full(tmp_path: Path) -> None:
    """To drop the newest, and to give up the oldest, takes no call either."""
    expected = 3 * (COUNT + 10)
    small = {"SHMTEL_RING_SIZE": "64KiB"}
    with fresh_namespace() as namespace:
        assert run_worker(namespace, COUNT, **small) == 0
        total = total_of(namespace, tmp_path)
        assert total["emitted"] == expected
        assert total["dropped"]["ring_full"] == expected - total["committed"] > 0
        assert total["unaccounted"] == 0
    with fresh_namespace() as namespace:
        assert run_worker(namespace, COUNT, **small, SHMTEL_OVERFLOW="overwrite") == 0
        total = total_of(namespace, tmp_path)
        assert total["emitted"] == total["committed"] == expected
        assert total["lost"] == {"overwritten": expected - total["in_ring"]}
        assert total["unaccounted"] == 0


def test_the_filter_kills_who_makes_a_call() -> None:
    """The same program dies when it asks for its process id."""
    with fresh_namespace() as namespace:
        assert run_worker(namespace, 5, "os.getppid") == -signal.SIGSYS
