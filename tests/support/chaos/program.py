"""The installed `shmtel` program, prepared to fail: `python -m support.chaos.program`.

The first argument says how, as JSON; all others are the program's. It is the
real command: only what the points, the clock and a sabotage need is patched.
"""

import ctypes
import faulthandler
import importlib.util
import json
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from support.chaos.clock import Jump, set_wrong
from support.chaos.notes import LineFile, NotingHandler
from support.chaos.patches import before, patch
from support.chaos.points import HUB, Arm, Strikes, is_in_core
from support.chaos.sabotage import SABOTAGES

STRIKES = "strikes"  # the file where each point is reported that was struck


@dataclass(frozen=True, slots=True)
class Preparation:
    """How one life of a program is to go.

    Attributes:
        directory: where it tells of itself.
        core: the core with points.
    """

    program: str
    life: int
    directory: str
    core: str
    arms: tuple[Arm, ...] = ()
    jumps: tuple[Jump, ...] = ()
    sabotages: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """Return it as the program's argument."""
        return json.dumps(asdict(self))


def from_json(text: str) -> Preparation:
    """Read what `to_json` has written."""
    document = json.loads(text)
    document["arms"] = tuple(Arm(**arm) for arm in document["arms"])
    document["jumps"] = tuple(Jump(**jump) for jump in document["jumps"])
    return Preparation(**document)


def prepare(preparation: Preparation) -> None:
    """Patch this process, before anything of it has run."""
    core = None
    if any(map(is_in_core, preparation.arms)):
        core = _load_core(preparation.core)
    directory = Path(preparation.directory)
    strikes = LineFile(directory / STRIKES)
    Strikes(lambda point: strikes.write([preparation.program, point])).set(
        preparation.arms, core
    )
    set_wrong(preparation.jumps)
    if preparation.program == HUB:
        handler = NotingHandler(directory, preparation.life)
        _attach(handler)
    for name in preparation.sabotages:
        SABOTAGES[name]()


def _attach(handler: NotingHandler) -> None:
    def attach(hub: Any) -> None:
        hub.attach_batch("chaos", "*", handler)

    patch("shmtel.hub.hub:Hub.start", before(attach))


def _load_core(path: str) -> ctypes.CDLL:
    """Import the core that is built with points, in place of the installed one."""
    spec = importlib.util.spec_from_file_location("shmtel._ring", path)
    assert spec is not None
    assert spec.loader is not None
    core = importlib.util.module_from_spec(spec)
    sys.modules["shmtel._ring"] = core
    spec.loader.exec_module(core)
    return ctypes.CDLL(path)


def main() -> None:
    """Run the program."""
    faulthandler.register(signal.SIGUSR1)  # it says where it hangs
    prepare(from_json(sys.argv.pop(1)))
    from shmtel.cli import main as shmtel_main

    shmtel_main()


if __name__ == "__main__":
    main()
