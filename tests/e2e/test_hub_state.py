"""`shmtel hub` as a program: what it keeps over its death, and who may keep it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shmtel.wire.collector_events import Acked
from support.line import Line, running_line
from support.program import json_lines, shmtel, start_shmtel, stopped_at_exit
from support.uplink import connected, make_segment

WAIT_S = 20.0


@contextmanager
def running_hub(tmp_path: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a hub on a socket of the test, with a state directory of its own."""
    socket, state = tmp_path / "hub.sock", tmp_path / "hub-state"
    arguments = ("hub", "--listen", f"unix:{socket}", "--state-dir", str(state), *more)
    with stopped_at_exit(start_shmtel(*arguments)) as hub:
        wait_until_shown(f"unix:{socket}")
        yield hub


def wait_until_shown(hub: str) -> dict[str, object]:
    """Wait until a hub answers, and return its policy."""
    deadline = time.monotonic() + WAIT_S
    while (shown := shmtel("ctl", "show", "--hub", hub, "--json")).returncode:
        assert time.monotonic() < deadline, shown.stderr
        time.sleep(0.05)
    document: dict[str, object] = json.loads(shown.stdout)
    return document


def test_the_policy_outlives_a_hub_that_was_killed(tmp_path: Path) -> None:
    """Rules, deadline, version and origin are there again, and count on."""
    address = f"unix:{tmp_path / 'hub.sock'}"
    with running_hub(tmp_path) as hub:
        for rate in ("0.5", "0.25"):
            set_rate = ("ctl", "sampling", rate, "a.*", "--hub", address, "--for", "1h")
            assert shmtel(*set_rate).returncode == 0
        before = wait_until_shown(address)
        hub.kill()
        hub.wait(WAIT_S)
    with running_hub(tmp_path):
        after = wait_until_shown(address)
        assert after["version"] == before["version"] == 2
        assert after["origin"] == before["origin"]
        assert "0.25" in json.dumps(after["layers"])
        assert shmtel("ctl", "reset", "--hub", address).returncode == 0
        assert wait_until_shown(address)["version"] == 3


def test_a_second_hub_on_the_same_state_is_refused(tmp_path: Path) -> None:
    """It says whose the directory is, and does not disturb the first."""
    with running_hub(tmp_path):
        result = shmtel(
            *("hub", "--listen", f"unix:{tmp_path / 'other.sock'}"),
            *("--state-dir", str(tmp_path / "hub-state")),
        )
        assert result.returncode == 1
        assert "another hub keeps its state" in result.stderr
        assert "--state-dir" in result.stderr
        wait_until_shown(f"unix:{tmp_path / 'hub.sock'}")


def test_every_change_is_in_the_sink(tmp_path: Path) -> None:
    """JSON lines hold the changes of the policy among the events."""
    sink, address = tmp_path / "events.jsonl", f"unix:{tmp_path / 'hub.sock'}"
    with running_hub(tmp_path, "--jsonl", str(sink)) as hub:
        for state in ("off", "on"):
            assert shmtel("ctl", "toggle", state, "--hub", address).returncode == 0
        hub.terminate()
        assert hub.wait(WAIT_S) == 0
    changes = [(e["event"], e["metadata"]["rule"], e["seq"]) for e in json_lines(sink)]
    assert changes == [
        ("policy.changed", "toggle off", 1),
        ("policy.changed", "toggle on", 2),
    ]


def test_a_sink_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The program ends in two seconds, and has acknowledged nothing of it."""
    pipe, address = tmp_path / "pipe", f"unix:{tmp_path / 'hub.sock'}"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with running_hub(tmp_path, "--jsonl", str(pipe)) as hub, connected(address) as peer:
        peer.open()
        peer.wait_acked(peer.send(make_segment(0, 10)))
        peer.send(make_segment(10, 2_000))  # more than a pipe holds
        os.read(reader, 1)
        began = time.monotonic()
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(WAIT_S) == 0
        assert time.monotonic() - began < 4.0  # two, and the end of an interpreter
        assert len(peer.of(Acked)) == 1
    os.close(reader)


def test_a_collector_goes_by_its_rules_while_the_hub_is_away(tmp_path: Path) -> None:
    """And the next hub of the same state finds it in force, and sends nothing."""
    with ExitStack() as stack:
        line: Line = stack.enter_context(running_line(tmp_path))
        toggled = shmtel("ctl", "toggle", "off", "--hub", line.hub, "--wait")
        assert toggled.stdout.startswith("applied by 1 of 1 worker"), toggled
        line.hub_process.kill()
        line.hub_process.wait(WAIT_S)
        stack.enter_context(
            stopped_at_exit(
                start_shmtel("hub", "--listen", line.hub, "--jsonl", str(line.jsonl))
            )
        )
        wait_until_shown(line.hub)
        explain = ("ctl", "show", "--effective", "busy", "--hub", line.hub)
        deadline = time.monotonic() + WAIT_S
        while "busy" not in (shown := shmtel(*explain)).stdout:
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        assert "toggle off" in shown.stdout
        before = line.jsonl.stat().st_size
        again = shmtel("ctl", "toggle", "on", "--hub", line.hub, "--wait")
        assert again.stdout.startswith("applied by 1 of 1 worker"), again
        while line.jsonl.stat().st_size == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)
