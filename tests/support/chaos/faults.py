"""How each fault of a plan is done, and undone.

Rules:
- a fault counts as done only if there was something to do it to.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from support.chaos.actor import Actor
from support.chaos.crew import Crew
from support.chaos.disk import Disk
from support.chaos.plan import Act, Fault
from support.chaos.proxy import Mode, Proxy

_MODES = {
    Fault.DELAY: Mode.DELAY,
    Fault.DRIBBLE: Mode.DRIBBLE,
    Fault.HALF_OPEN: Mode.HALF_OPEN,
    Fault.REFUSE: Mode.REFUSE,
}


@dataclass(slots=True)
class FullDisk:
    """A time in which a disk was full."""

    fault: str
    from_ns: int
    until_ns: int = 0


class Faults:
    """Does what a plan says, to the things of a run."""

    def __init__(
        self,
        crew: Crew,
        collector: Actor,
        hub: Actor,
        proxy: Proxy,
        disks: dict[Fault, Disk],
    ) -> None:
        self.done: Counter[str] = Counter()
        self.full: list[FullDisk] = []
        self._proxy = proxy
        self._disks = disks
        self._mode_ends_at = 0.0
        self._disk_ends_at: dict[Fault, float] = {}
        self._acts: dict[Fault, Callable[[float], bool]] = {
            Fault.KILL_WORKER: lambda _: crew.kill_one(),
            Fault.STOP_WORKER: crew.stop_one,
            Fault.KILL_COLLECTOR: lambda _: collector.kill(),
            Fault.STOP_COLLECTOR: collector.freeze,
            Fault.END_COLLECTOR: lambda _: collector.ask_to_end(),
            Fault.KILL_HUB: lambda _: hub.kill(),
            Fault.STOP_HUB: hub.freeze,
            Fault.END_HUB: lambda _: hub.ask_to_end(),
            Fault.CUT: self._cut,
        }

    def do(self, act: Act) -> bool:
        """Do one act; say whether there was something to do it to."""
        if act.fault in _MODES:
            is_done = self._spoil_network(act)
        elif act.fault in self._disks:
            is_done = self._fill(act)
        else:
            is_done = self._acts[act.fault](act.lasts_s)
        self.done[act.fault.value] += is_done
        return is_done

    def look(self) -> None:
        """Undo what has lasted long enough."""
        now = time.monotonic()
        if self._mode_ends_at and now >= self._mode_ends_at:
            self._mode_ends_at = 0.0
            self._proxy.set_mode(Mode.CLEAR)
        for fault, ends_at in list(self._disk_ends_at.items()):
            if now >= ends_at:
                self._free(fault)

    def calm(self) -> None:
        """Undo everything."""
        self._mode_ends_at = 0.0
        self._proxy.set_mode(Mode.CLEAR)
        for fault in list(self._disk_ends_at):
            self._free(fault)

    def _cut(self, _seconds: float) -> bool:
        return self._proxy.cut()

    def _spoil_network(self, act: Act) -> bool:
        self._proxy.set_mode(_MODES[act.fault])
        self._mode_ends_at = time.monotonic() + act.lasts_s
        return True

    def _free(self, fault: Fault) -> None:
        del self._disk_ends_at[fault]
        self._disks[fault].free()
        for full in self.full:
            if full.fault == fault.value and not full.until_ns:
                full.until_ns = time.monotonic_ns()

    def _fill(self, act: Act) -> bool:
        self.full.append(FullDisk(act.fault.value, time.monotonic_ns()))
        self._disks[act.fault].fill()
        self._disk_ends_at[act.fault] = time.monotonic() + act.lasts_s
        return True
