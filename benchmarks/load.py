"""A load of HTTP requests: so many at once, each a connection of its own, for a time.

It prints the latencies that it saw, in microseconds, and how many requests failed.
"""

import asyncio
import json
import sys
import time

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def _client(port: int, deadline: float, times: list[int]) -> int:
    """Ask again and again; return how often the answer was not what it should be."""
    failed = 0
    while (began := time.perf_counter()) < deadline:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST)
        answer = await reader.read()
        while part := await reader.read():
            answer += part
        writer.close()
        await writer.wait_closed()
        times.append(round((time.perf_counter() - began) * 1e6))
        failed += not answer.startswith(b"HTTP/1.1 200")
    return failed


async def _run(port: int, clients: int, seconds: float) -> None:
    times: list[int] = []
    deadline = time.perf_counter() + seconds
    failed = await asyncio.gather(
        *(_client(port, deadline, times) for _ in range(clients))
    )
    print(json.dumps({"times_us": times, "failed": sum(failed)}))


def main() -> None:
    """Load the server at a port."""
    port, clients, seconds = sys.argv[1:]
    asyncio.run(_run(int(port), int(clients), float(seconds)))


if __name__ == "__main__":
    main()
