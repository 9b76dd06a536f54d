"""Forked workers that do what they are told, and tell when it is done.

Run as a program it is their parent: each line on stdin is a command in JSON,
answered by a line when every worker has obeyed. A `fork` adds workers.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from shmtel.policy.model import Traits
from support.acts import USUAL, acts_of, do
from support.processes import environment

_ANSWER_S = 60.0
_LOAD_PAUSE_S = 0.0005
Command = dict[str, Any]


def traits_of(worker: int, node: str) -> Traits:
    """Return what selectors see of a worker."""
    return Traits(f"w-{worker}", f"p-{worker % 3}", f"s-{worker % 2}", node)


class Puppets:
    """The workers of a test, in a namespace; they end with the context."""

    def __init__(self, namespace: str, workers: int, **variables: str) -> None:
        self.count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.puppets"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",  # where no source of ours shadows the installed build
            env=environment(namespace, **variables)
            | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
        )
        self.fork(workers)

    def __enter__(self) -> "Puppets":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def fork(self, workers: int) -> None:
        """Add workers; each has its ring from its first event on."""
        self._ask(do="fork", first=self.count, count=workers)
        self.count += workers

    def act(self, seed: int, round_: int, style: str = USUAL) -> None:
        """Have every worker do the acts of a round, and wait until all have."""
        self._ask(do="act", seed=seed, round=round_, style=style)

    def begin_load(self, ids: list[str]) -> None:
        """Have every worker emit under these correlation IDs until told to end."""
        self._ask(do="load", ids=ids)

    def end_load(self) -> list[dict[str, int]]:
        """End the load; return per worker how many events each ID has."""
        answers: list[dict[str, int]] = self._ask(do="rest")
        return answers

    def _ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the workers' parent has died"
        return json.loads(answer)


class _Worker:
    """One forked child, as itself sees it."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = os.fdopen(commands, "r")
        self._answers = os.fdopen(answers, "w")
        self._counts: dict[str, int] = {}

    def live(self) -> None:
        """Obey until there are no more commands."""
        for line in iter(self._commands.readline, ""):
            command = json.loads(line)
            _OBEYED[command["do"]](self, command)

    def answer(self, value: object) -> None:
        """Say that it is done."""
        print(json.dumps(value), file=self._answers, flush=True)

    def act(self, command: Command) -> None:
        """Do a round."""
        worker = int(os.environ["SHMTEL_WORKER_ID"][2:])
        seed, round_, style = command["seed"], command["round"], command["style"]
        for act in acts_of(seed, round_, worker, style):
            do(act)
        self.answer("done")

    def load(self, command: Command) -> None:
        """Emit spans and events under IDs, one after the other, until a command."""
        import shmtel

        self.answer("done")
        ids = command["ids"]
        self._counts = dict.fromkeys(ids, 0)
        turn = 0
        while not select.select([self._commands], [], [], 0)[0]:
            correlation_id = ids[turn % len(ids)]
            turn += 1
            with shmtel.span("load.task", None, correlation_id):
                shmtel.emit("load.tick", {"turn": turn}, None, correlation_id)
            with shmtel.span("load.alone"):
                pass
            self._counts[correlation_id] += 3
            time.sleep(_LOAD_PAUSE_S)

    def rest(self, _command: Command) -> None:
        """Tell what was emitted under load."""
        self.answer(self._counts)


_OBEYED: dict[str, Callable[[_Worker, Command], None]] = {
    "act": _Worker.act,
    "load": _Worker.load,
    "rest": _Worker.rest,
}


class _Parent:
    """Forks workers, and hands commands to all of them."""

    def __init__(self) -> None:
        self._pipes: list[tuple[Any, Any]] = []

    def obey(self, command: Command) -> object:
        """Hand a command on, and collect the answers."""
        if command["do"] == "fork":
            for worker in range(command["first"], command["first"] + command["count"]):
                self._fork(worker)
            return "done"
        for commands, _ in self._pipes:
            print(json.dumps(command), file=commands, flush=True)
        return [json.loads(answers.readline()) for _, answers in self._pipes]

    def _fork(self, worker: int) -> None:
        command_read, command_write = os.pipe()
        answer_read, answer_write = os.pipe()
        if os.fork() == 0:
            for commands, answers in self._pipes:
                commands.close()
                answers.close()
            os.close(command_write)
            os.close(answer_read)
            os.close(0)
            traits = traits_of(worker, "")
            os.environ["SHMTEL_WORKER_ID"] = traits.worker
            os.environ["SHMTEL_POOL_NAME"] = traits.pool
            os.environ["SHMTEL_SERVICE_NAME"] = traits.service
            _Worker(command_read, answer_write).live()
            os._exit(0)
        os.close(command_read)
        os.close(answer_write)
        self._pipes.append((os.fdopen(command_write, "w"), os.fdopen(answer_read)))


if __name__ == "__main__":
    _parent = _Parent()
    for _line in sys.stdin:
        print(json.dumps(_parent.obey(json.loads(_line))), flush=True)
