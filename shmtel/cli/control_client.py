"""Calls of the `Control` service, of the hub or of this host's collector.

Both serve the same methods; a target differs in its address, in what it is
called, and in the cure when nobody answers there.

Rules:
- imported when a verb runs, because it needs what an extra brings;
- whatever grpc says is translated here into a CommandError;
- a call waits no longer than it was told to, and an answer is bounded.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc

from shmtel.cli.errors import CommandError, ExitCode
from shmtel.errors import ShmtelError
from shmtel.wire import control, control_codec, ledger_codec
from shmtel_collector.config import find_control_socket

CALL_S = 5.0  # for the way there and back
LEDGER_S = 30.0  # for all pages of a large fleet
_ANSWER_BYTES = 64 << 20  # an explanation of a thousand workers
_OPTIONS = (
    ("grpc.max_receive_message_length", _ANSWER_BYTES),
    # It is asked on the way to an address that the operator has named.
    ("grpc.enable_http_proxy", 0),
    # The time in which a connection has to come about; else it is 20 seconds before
    # it turns out that somebody listens and says nothing.
    ("grpc.min_reconnect_backoff_ms", int(CALL_S * 1000)),
)

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked."""

    address: str  # as grpc writes it
    name: str
    cure: str  # when nobody answers


def hub_target(address: str) -> Target:
    """Return the hub at an address."""
    return Target(
        address,
        f"hub at {address}",
        f"start one with `shmtel hub --listen {address}`, or name another with --hub",
    )


def host_target(namespace: str, socket: Path | None) -> Target:
    """Return the collector of this host.

    Raises:
        CommandError: it has no socket there, or it is not ours to use.
    """
    path = socket or find_control_socket(namespace)
    target = Target(
        f"unix:{path.absolute()}",
        f"collector of the namespace {namespace!r} on this host, at {path}",
        f"start one with `shmtel collector --namespace {namespace}`, name its socket "
        "with --socket, or ask a hub with --hub ADDR",
    )
    try:
        path.stat()
    except PermissionError as error:
        raise _not_permitted(target) from error
    except OSError as error:
        raise _unreachable(target) from error
    if not os.access(path, os.W_OK):
        raise _not_permitted(target)
    return target


class ControlClient:
    """A channel to a target, for the length of a verb."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = grpc.insecure_channel(target.address, options=_OPTIONS)

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    def change(self, request: control.ChangeRequest) -> control.ChangeReport:
        """Change the policy, and wait as long as the request says."""
        try:
            data = control_codec.encode_change_request(request)
        except ShmtelError as error:
            raise CommandError(str(error), ExitCode.USAGE) from error
        wait_s = request.wait_ms / 1000
        answer = control_codec.decode_change_report
        return self._call(control.CHANGE_POLICY, data, answer, wait_s)

    def policy(self) -> control.PolicyReport:
        """Return the rules, by layer."""
        request = control_codec.encode_policy_request()
        return self._call(
            control.GET_POLICY, request, control_codec.decode_policy_report
        )

    def explain(self, worker: str) -> list[control.Explanation]:
        """Return what is in force for workers."""
        request = control_codec.encode_explain_request(worker)
        return self._call(
            control.EXPLAIN_POLICY, request, control_codec.decode_explanations
        )

    def workers(self) -> list[control.WorkerStatus]:
        """Return the workers that the target knows."""
        request = control_codec.encode_list_workers_request()
        return self._call(
            control.LIST_WORKERS, request, control_codec.decode_list_workers_response
        )

    def ledger(self) -> control.LedgerPage:
        """Return the ledger of the fleet, all of its pages as one."""
        call: Any = self._channel.unary_stream(control.method_path(control.LEDGER))
        request = ledger_codec.encode_ledger_request()
        try:
            answers = call(request, timeout=LEDGER_S)
            pages = [ledger_codec.decode_ledger_page(data) for data in answers]
        except grpc.RpcError as error:
            raise self._translate(error) from error
        return control.LedgerPage(
            tuple(host for page in pages for host in page.hosts),
            tuple(ring for page in pages for ring in page.rings),
        )

    def _call(
        self,
        method: str,
        request: bytes,
        decode: Callable[[bytes], _Answer],
        wait_s: float = 0.0,
    ) -> _Answer:
        call: Any = self._channel.unary_unary(control.method_path(method))
        try:
            return decode(call(request, timeout=CALL_S + wait_s))
        except grpc.RpcError as error:
            raise self._translate(error) from error

    def _translate(self, error: Any) -> CommandError:
        """Say what the target said, or that it said nothing."""
        code: grpc.StatusCode = error.code()
        if code is grpc.StatusCode.UNAVAILABLE:
            return _unreachable(self._target)
        name = self._target.name
        text, exit_code = {
            grpc.StatusCode.INVALID_ARGUMENT: ("refuses it", ExitCode.USAGE),
            grpc.StatusCode.DEADLINE_EXCEEDED: ("gave no answer", ExitCode.NO_ANSWER),
            grpc.StatusCode.PERMISSION_DENIED: (
                "does not permit it",
                ExitCode.NO_PERMISSION,
            ),
            grpc.StatusCode.UNIMPLEMENTED: (
                "is of another version, or something else listens there",
                ExitCode.FAILED,
            ),
        }.get(code, (f"failed: {code.name}", ExitCode.FAILED))
        return CommandError(f"the {name} {text}: {error.details()}", exit_code)


def _unreachable(target: Target) -> CommandError:
    return CommandError(
        f"no answer from the {target.name}: nobody listens there, or it hangs; "
        f"{target.cure}",
        ExitCode.NOT_REACHABLE,
    )


def _not_permitted(target: Target) -> CommandError:
    return CommandError(
        f"the {target.name} belongs to another user; run this as that user",
        ExitCode.NO_PERMISSION,
    )
