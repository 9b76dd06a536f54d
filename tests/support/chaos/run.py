"""Makes a plan happen, and has the oracle judge what came of it."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from shmtel import _ring
from shmtel.errors import SegmentError
from shmtel.segments import home_of
from support.chaos.actor import Actor
from support.chaos.counts import ON_THE_WAY
from support.chaos.crew import Crew
from support.chaos.disk import Disk
from support.chaos.faults import Faults
from support.chaos.history import FRESH, UNFINISHED, History, read_history
from support.chaos.notes import read_lines
from support.chaos.oracle import judge
from support.chaos.plan import Act, Fault, Plan, make_plan
from support.chaos.points import COLLECTOR, HUB
from support.chaos.program import STRIKES
from support.chaos.promises import promises_of
from support.chaos.proxy import Proxy
from support.chaos.verdict import Verdict
from support.program import clean_environment

TICK_S = 0.01
EXTRA_S = 90.0
QUIET_S = 60.0
END_S = 10.0
FRESH_CALLS = 50
_MEBIBYTE = 1 << 20
_DISK_BYTES = {"hub": 256 * _MEBIBYTE, "collector": 64 * _MEBIBYTE}
_SHARED_BYTES = 48 * _MEBIBYTE


class Run:
    """One run in a directory of its own."""

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        stack: contextlib.ExitStack,
        core: Path,
        sabotages: dict[str, tuple[str, ...]],
    ) -> None:
        self.plan = plan
        self.directory = directory
        self.jsonl = directory / "hub" / "events.jsonl"
        self._namespace = f"chaos-{secrets.token_hex(4)}"
        disks = {name: self._disk(stack, name) for name in _DISK_BYTES}
        home = directory / "rings" if plan.is_file_backend else Path("/dev/shm")
        shared = Disk(home, _SHARED_BYTES)
        stack.callback(shared.close)
        self.home = home_of(str(home) if plan.is_file_backend else None)
        stack.callback(self._remove_rings)
        self.proxy = Proxy(directory / "hub.sock")
        stack.callback(self.proxy.close)
        self._environment = self._make_environment()
        self.crew = Crew(plan, directory, self._environment)
        stack.callback(self.crew.close)
        self.hub = self._actor(HUB, core, sabotages, self._hub_arguments())
        stack.callback(self.hub.close)
        self.collector = self._actor(
            COLLECTOR, core, sabotages, self._collector_arguments()
        )
        stack.callback(self.collector.close)
        self.disks = {
            Fault.FILL_HUB_DISK: disks["hub"],
            Fault.FILL_COLLECTOR_DISK: disks["collector"],
            Fault.FILL_SHARED_MEMORY: shared,
        }
        self.faults = Faults(
            self.crew, self.collector, self.hub, self.proxy, self.disks
        )

    # -- the run -------------------------------------------------------------

    def disturb(self) -> None:
        """Let the plan happen, to its last second and its last act.

        An act waits until there is what it acts upon; at the end of the plan the
        programs get the peace to come up for it.
        """
        waiting = list(self.plan.acts)
        started, end_s = time.monotonic(), self.plan.seconds
        while (age := time.monotonic() - started) < end_s + EXTRA_S * bool(waiting):
            if age >= end_s:
                self._calm_actors()
            self._look()
            due = [act for act in waiting if act.at_s <= age]
            waiting = [act for act in waiting if act not in due or not self._do(act)]
            time.sleep(TICK_S)
        for act in waiting:
            self.faults.done[act.fault.value] += 0

    def calm(self) -> bool:
        """End all faults and all workers; say whether the line comes to rest."""
        self.faults.calm()
        self._calm_actors()
        self.crew.run_one(FRESH, FRESH_CALLS)
        self.crew.dismiss()
        deadline = time.monotonic() + QUIET_S
        while not (is_quiet := self._is_quiet()) and time.monotonic() < deadline:
            self._look(is_open=False)
            time.sleep(TICK_S * 5)
        for actor in (self.collector, self.hub):
            actor.finish(END_S)
        return is_quiet

    def history(self, *, is_quiet: bool) -> History:
        """Return what is to be judged."""
        return read_history(
            self.directory,
            self.jsonl,
            ledger=self.ledger(),
            ends=[*self.hub.ends, *self.collector.ends],
            faults=dict(self.faults.done),
            full=self.faults.full,
            is_quiet=is_quiet,
        )

    def ledger(self) -> dict[str, Any]:
        """Return the ledger as the tool prints it."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "shmtel.cli", "ledger", "--json"),
                *("--namespace", self._namespace, "--state-dir", self._state_dir),
            ],
            env=self._environment,
            cwd="/",
            capture_output=True,
            check=True,
        )
        (self.directory / "ledger.json").write_bytes(done.stdout)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def strikes(self) -> Counter[str]:
        """Return at which points programs have struck, and how often."""
        path = self.directory / STRIKES
        told = [point for _, point in read_lines(path)] if path.exists() else []
        return Counter([*told, *self.collector.strikes_in_core])

    def save(self) -> None:
        """Bring what lies on the run's own disks to where it stays."""
        kept = self.directory / "kept"
        for name in _DISK_BYTES:
            shutil.copytree(self.directory / name, kept / name, dirs_exist_ok=True)

    # -- inside --------------------------------------------------------------

    def _calm_actors(self) -> None:
        for actor in (self.hub, self.collector):
            if not actor.is_calm:
                actor.calm()

    def _do(self, act: Act) -> bool:
        with (self.directory / "acts.log").open("a") as log:
            is_done = self.faults.do(act)
            if is_done:
                print(time.monotonic_ns(), act, file=log)
        return is_done

    def _look(self, is_open: bool = True) -> None:
        self.crew.look(is_open)
        self.hub.look()
        self.collector.look()
        self.faults.look()

    def _is_quiet(self) -> bool:
        """Say whether no ring is left, which means done, and nothing is on its way."""
        if not all(map(self._is_unfinished, self.home.scan(self._namespace))):
            return False
        total = self.ledger()["total"]
        return not any(total[word] for word in ON_THE_WAY)

    def _is_unfinished(self, name: str) -> bool:
        """Say whether its worker was killed while it made it: it stays for a while."""
        try:
            fd = self.home.open(name, writable=False)
        except SegmentError:
            return not self.home.has(name)
        try:
            _ring.observe(fd)
        except _ring.RingError as error:
            return error.reason == UNFINISHED
        finally:
            os.close(fd)
        return False

    @property
    def _state_dir(self) -> Path:
        return self.directory / "collector" / "state"

    def _disk(self, stack: contextlib.ExitStack, name: str) -> Disk:
        disk = Disk(self.directory / name, _DISK_BYTES[name])
        stack.callback(disk.close)
        return disk

    def _make_environment(self) -> dict[str, str]:
        tests = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, (tests, os.environ.get("PYTHONPATH"))))
        variables = {"SHMTEL_NAMESPACE": self._namespace, "PYTHONPATH": path}
        environment = clean_environment(**variables)
        environment.pop("SHMTEL_DIR", None)  # the plan says where the rings are
        if self.plan.is_file_backend:
            environment["SHMTEL_DIR"] = str(self.directory / "rings")
        return environment

    def _hub_arguments(self) -> list[str]:
        return [
            *("hub", "--listen", f"unix:{self.directory / 'hub.sock'}"),
            *("--jsonl", str(self.jsonl)),
            *("--state-dir", str(self.directory / "hub" / "state")),
            *("--http", "off"),
        ]

    def _collector_arguments(self) -> list[str]:
        spool = self.directory / "collector" / "spool"
        return [
            *("collector", "--hub", f"127.0.0.1:{self.proxy.port}"),
            *("--state-dir", str(self._state_dir)),
            *("--socket", str(self.directory / "c.sock")),
            *(("--spool-dir", str(spool)) if self.plan.has_spool else ()),
            *("--spool-max", "16MiB", "--http", "off"),
        ]

    def _actor(
        self,
        program: str,
        core: Path,
        sabotages: dict[str, tuple[str, ...]],
        arguments: list[str],
    ) -> Actor:
        return Actor(
            program,
            self.directory,
            core,
            arguments,
            self._environment,
            self.plan.lives[program],
            sabotages.get(program, ()),
        )

    def _remove_rings(self) -> None:
        for name in self.home.scan(self._namespace):
            self.home.unlink(name)
        for path in Path(self.home.directory).glob(f"shmtel.{self._namespace}.*"):
            path.unlink()


def run(
    seed: int,
    seconds: float,
    directory: Path,
    core: Path,
    sabotages: dict[str, tuple[str, ...]] | None = None,
    has_disks: bool = True,
) -> Verdict:
    """Run a seed in a new directory, which it leaves behind."""
    started = time.monotonic()
    plan = make_plan(seed, seconds, has_disks)
    directory.mkdir(parents=True)
    (directory / "plan").write_text(f"{plan}\n")
    with contextlib.ExitStack() as stack:
        line = Run(plan, directory, stack, core, sabotages or {})
        line.disturb()
        is_quiet = line.calm()
        history = line.history(is_quiet=is_quiet)
        line.save()
        flaws = judge(history, promises_of(plan))
    (directory / "flaws").write_text("".join(f"{flaw}\n" for flaw in flaws))
    return Verdict(
        seed=seed,
        flaws=flaws,
        delivered=len(history.lines),
        emitted=sum(len(log.fates) for log in history.calls.values()),
        workers=len(history.calls),
        lives={actor.program: actor.life for actor in (line.collector, line.hub)},
        faults=dict(history.faults),
        strikes=dict(line.strikes()),
        left_out=[] if has_disks else ["full disks"],
        seconds=time.monotonic() - started,
    )
