"""What the interceptors cost a unary call: both sides in one process, one socket.

A synchronous channel and server on a unix socket, one call at a time, with one
thread in the pool: bare; with interceptors that only pass calls on, which is gRPC's
own part of the price; with ours and telemetry off; with telemetry on, into a ring
that this process drains between the timed chunks. Each call then is four events,
and its metadata carries the correlation ID to the server.
"""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import Any

import grpc
from measure import interleave, report, row, size, summary

ROUNDS = size(60, 3)
OPERATIONS = 100
_METHOD = "/bench.Echo/echo"


def _echo(request: bytes, context: object) -> bytes:
    return request


class _PassOn(grpc.UnaryUnaryClientInterceptor, grpc.ServerInterceptor):
    """What any interceptor costs."""

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return continuation(client_call_details, request)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        return continuation(handler_call_details)


def _method(
    stack: ExitStack, directory: str, clients: list[Any], servers: list[Any]
) -> Callable[..., bytes]:
    """Serve, and return what calls."""
    address = f"unix:{directory}/{len(os.listdir(directory))}"
    pool = stack.enter_context(ThreadPoolExecutor(1))
    server = grpc.server(pool, interceptors=servers)
    handlers = {"echo": grpc.unary_unary_rpc_method_handler(_echo)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("bench.Echo", handlers),)
    )
    server.add_insecure_port(address)
    server.start()
    stack.callback(lambda: server.stop(None).wait())
    channel: Any = stack.enter_context(grpc.insecure_channel(address))
    if clients:
        channel = grpc.intercept_channel(channel, *clients)
    return channel.unary_unary(_METHOD)  # type: ignore[no-any-return]


def _repeat(call: Callable[..., bytes], *, is_on: bool) -> Callable[[int], None]:
    import shmtel

    def run(operations: int) -> None:
        shmtel.enable() if is_on else shmtel.disable()
        with shmtel.correlation("abcdef0123456789"):
            for _ in range(operations):
                call(b"x" * 100)

    return run


def _measured(directory: str) -> dict[str, list[float]]:
    import shmtel
    from shmtel import _ring, segments
    from shmtel.contrib.grpc import client_interceptors, server_interceptors

    shmtel.emit("bench.begin", {})
    (name,) = segments.POSIX.scan(os.environ["SHMTEL_NAMESPACE"])
    consumer = _ring.Consumer(segments.POSIX.open(name, writable=True))
    totals = [0] * 32

    def drain() -> None:
        while (drained := consumer.drain(1 << 20)) is not None:
            totals[0] += drained.delivered
            consumer.settle(drained.position, drained.seq_last, totals)

    with ExitStack() as stack:
        stack.callback(segments.POSIX.unlink, name)
        bare = _method(stack, directory, [], [])
        passed_on = _method(stack, directory, [_PassOn()], [_PassOn()])
        ours = client_interceptors(), server_interceptors()
        told = _method(stack, directory, *ours)
        times = interleave(
            {
                "bare": _repeat(bare, is_on=False),
                "passed_on": _repeat(passed_on, is_on=False),
                "off": _repeat(told, is_on=False),
                "on": _repeat(told, is_on=True),
            },
            rounds=ROUNDS,
            operations=OPERATIONS,
            between=drain,
        )
    committed = shmtel.stats()["committed"]
    assert committed == 1 + 4 * ROUNDS * OPERATIONS, committed
    return times


def main() -> None:
    """Measure, and print the result."""
    os.environ["SHMTEL_ENABLED"] = "1"
    os.environ["SHMTEL_NAMESPACE"] = f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as directory:
        times = _measured(directory)
    base = median(times["bare"])
    rows = [
        row(f"unary call, {text}", median(times[name]) / base, None, "x a bare call")
        for name, text in (
            ("passed_on", "interceptors that do nothing"),
            ("off", "our interceptors, telemetry off"),
            ("on", "our interceptors, telemetry on"),
        )
    ]
    report(rows, {name: summary(each) for name, each in times.items()})


if __name__ == "__main__":
    main()
