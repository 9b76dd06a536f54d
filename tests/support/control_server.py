"""A `Control` service whose answers a test decides, on a unix socket."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import grpc

from shmtel.wire import control, control_codec
from shmtel.wire.control import ChangeReport, ChangeRequest, Explanation, PolicyReport
from support.program import shmtel

NAMESPACE = "there"

Answer = Callable[[bytes, grpc.ServicerContext], bytes]


class ControlServer:
    """What it answers, and the changes that it was asked for."""

    def __init__(self) -> None:
        self.changes: list[ChangeRequest] = []
        self.report = ChangeReport("origin", 7)
        self.policy = PolicyReport("origin", 7)
        self.explanations: list[Explanation] = []
        self.workers: list[control.WorkerStatus] = []
        self.refusal: tuple[grpc.StatusCode, str] | None = None

    def answers(self) -> dict[str, Answer]:
        """Return what answers each method."""
        return {
            control.CHANGE_POLICY: self._change,
            control.GET_POLICY: lambda _, context: self._answer(
                context, control_codec.encode_policy_report(self.policy)
            ),
            control.EXPLAIN_POLICY: lambda _, context: self._answer(
                context, control_codec.encode_explanations(self.explanations)
            ),
            control.LIST_WORKERS: lambda _, context: self._answer(
                context, control_codec.encode_list_workers_response(self.workers)
            ),
        }

    def _change(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        self.changes.append(control_codec.decode_change_request(data))
        return self._answer(context, control_codec.encode_change_report(self.report))

    def _answer(self, context: grpc.ServicerContext, data: bytes) -> bytes:
        if self.refusal is not None:
            context.abort(*self.refusal)
        return data


@contextmanager
def serving(path: Path) -> Iterator[ControlServer]:
    """Serve on a socket until the context ends."""
    scripted = ControlServer()
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(answer)
        for name, answer in scripted.answers().items()
    }
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(control.SERVICE, handlers),)
    )
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield scripted
    finally:
        server.stop(0).wait()


def ctl(runtime: Path, *arguments: str) -> CompletedProcess[str]:
    """Run `shmtel ctl` with a runtime directory, whose parent is given to it."""
    return shmtel(
        *("ctl", *arguments),
        XDG_RUNTIME_DIR=str(runtime.parent),
        RUNTIME_DIRECTORY="",
        SHMTEL_NAMESPACE=NAMESPACE,
    )
