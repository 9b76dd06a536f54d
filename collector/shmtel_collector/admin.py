"""The socket of a host's operators: a unix socket with the `Control` service.

Whoever may open it may steer every worker of the host, so directory and socket
are for one user only. The directory is made where it is missing; one of another
user, or one that others may write to, is refused: they could put a socket of
their own there.

A collector without its socket still carries telemetry: what fails here is one
warning, and the fleet's control is not touched.

Rules: errors of grpc, and our own, are translated here.
"""

import os
import socket
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from shmtel.errors import ConfigurationError, ShmtelError
from shmtel.wire.control import SERVICE
from shmtel.wire.errors import RemoteProtocolError

PATH_MAX = 107  # bytes of an address, as the kernel has it
CALLS_MAX = 8  # at the same time
_OPTIONS = (("grpc.so_reuseport", 0),)
_CURE = "choose another path with --socket"


class AdminError(ShmtelError):
    """The socket cannot be opened; the text names the cure."""


class Admin:
    """The server behind the socket."""

    def __init__(
        self, path: Path, methods: Mapping[str, Callable[[bytes], bytes]]
    ) -> None:
        self.path = path
        self._methods = methods
        self._server: grpc.aio.Server | None = None
        self._inode = 0

    async def open(self) -> None:
        """Begin to serve.

        Raises:
            AdminError: the socket cannot be opened.
        """
        prepare(self.path)
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
        server.add_generic_rpc_handlers((_handlers(self._methods),))
        _bind(server, self.path)
        self._inode = self.path.lstat().st_ino
        await server.start()
        self._server = server

    async def close(self) -> None:
        """Cease to serve, and remove the socket if it is still ours."""
        if self._server is None:
            return
        await self._server.stop(None)
        self._server = None
        try:
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        except OSError:  # somebody has removed it
            return


def prepare(path: Path) -> None:
    """Make room for a socket: its directory is ours, and nobody listens there.

    Raises:
        AdminError: one of them is not so.
    """
    length = len(os.fsencode(path))
    if length > PATH_MAX:
        raise AdminError(
            f"the socket {path} has a path of {length} bytes, and the system takes "
            f"{PATH_MAX}; {_CURE}"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _judge_directory(path.parent)
        _remove_stale(path)
    except OSError as error:
        raise AdminError(
            f"cannot open the socket {path}: {error.strerror}; {_CURE}"
        ) from error


def _judge_directory(directory: Path) -> None:
    status = os.lstat(directory)
    if stat.S_ISLNK(status.st_mode) and status.st_uid in (0, os.getuid()):
        status = os.stat(directory)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (0, os.getuid()):
        raise AdminError(f"{directory} is not a directory of this user; {_CURE}")
    is_sticky = bool(status.st_mode & stat.S_ISVTX)
    if status.st_mode & 0o022 and not is_sticky:
        raise AdminError(
            f"others may write to {directory}, and so take the place of the socket; "
            f"chmod it to 700, or {_CURE}"
        )


def _remove_stale(path: Path) -> None:
    """Remove what a collector that was killed has left; never anything else."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise AdminError(f"{path} is there, and is no socket; {_CURE}")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise AdminError(f"somebody listens at {path}; {_CURE}")


def _bind(server: grpc.aio.Server, path: Path) -> None:
    """Bind so that there is no moment in which others could connect."""
    mask = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise AdminError(f"cannot listen at {path}; {_CURE}") from error
    finally:
        os.umask(mask)


def _handlers(
    methods: Mapping[str, Callable[[bytes], bytes]],
) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        SERVICE, {name: _unary(call) for name, call in methods.items()}
    )


def _unary(call: Callable[[bytes], bytes]) -> "grpc.RpcMethodHandler[Any, Any]":
    async def answer(
        data: bytes, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> bytes:
        try:
            return call(data)
        except (ConfigurationError, RemoteProtocolError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except ShmtelError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))

    return grpc.unary_unary_rpc_method_handler(answer)
