"""A TCP proxy between collector and hub that is as bad as a network can be.

Modes, all connections alike:

    CLEAR      bytes pass as they come
    DELAY      each chunk waits a while, in order
    DRIBBLE    single bytes, with a turn of the loop between them
    HALF_OPEN  nothing passes, and nobody is told: connections stay open
    REFUSE     open connections stay as they are; new ones are closed at once

`cut` ends all connections by a reset. It runs in a thread with a loop of its own.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from enum import Enum
from pathlib import Path

_CHUNK = 1 << 16
_DELAY_S = 0.08
_DRIBBLED = 512  # bytes of a chunk go one by one, the rest as a whole
_RESET = struct.pack("ii", 1, 0)


class Mode(Enum):
    """What happens to what passes."""

    CLEAR = "clear"
    DELAY = "delay"
    DRIBBLE = "dribble"
    HALF_OPEN = "half_open"
    REFUSE = "refuse"


class Proxy:
    """Listens on a port of this host and forwards to a unix socket."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._mode = Mode.CLEAR
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)
        self.passed_bytes = 0

    def set_mode(self, mode: Mode) -> None:
        """Change what happens from now on."""
        self._loop.call_soon_threadsafe(self._set, mode)

    def cut(self) -> bool:
        """Reset all connections; say whether there were any."""
        is_open = bool(self._writers)
        self._loop.call_soon_threadsafe(self._cut)
        return is_open

    def close(self) -> None:
        """Reset all connections and listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _set(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0)
        )
        self.port: int = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        self._cut()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._mode is Mode.REFUSE:
            _reset(writer)
            return
        try:
            there = await asyncio.open_unix_connection(self._target)
        except OSError:  # no hub now
            _reset(writer)
            return
        self._writers |= {writer, there[1]}
        pumps = [
            asyncio.ensure_future(self._pump(reader, there[1])),
            asyncio.ensure_future(self._pump(there[0], writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._writers -= {writer, there[1]}
            for end in (writer, there[1]):
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._pass_on(data, writer)
        while self._mode is Mode.HALF_OPEN:  # nor is anybody told of an end
            await self._changed.wait()

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while self._mode is Mode.HALF_OPEN:
            await self._changed.wait()
        if self._mode is Mode.DELAY:
            await asyncio.sleep(_DELAY_S)
        if self._mode is Mode.DRIBBLE:
            for offset in range(min(len(data), _DRIBBLED)):
                writer.write(data[offset : offset + 1])
                await writer.drain()
                await asyncio.sleep(0)
            data = data[_DRIBBLED:]
        self.passed_bytes += len(data)
        writer.write(data)
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
