"""The proxy: what each of its modes does to what passes."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.chaos.proxy import Mode, Proxy
from support.processes import wait_until


class _Echo:
    """A server that sends back what it gets."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,)).start()

    @staticmethod
    def _serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before a server that echoes."""
    echo = _Echo(tmp_path / "s")
    proxy = Proxy(tmp_path / "s")
    yield proxy
    proxy.close()
    echo.close()


@contextmanager
def _connect(proxy: Proxy) -> Iterator[socket.socket]:
    address = ("127.0.0.1", proxy.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(b"a")
        if connection.recv(1) != b"a":
            raise ConnectionError
        yield connection


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return data


@pytest.mark.parametrize("mode", [Mode.CLEAR, Mode.DELAY, Mode.DRIBBLE])
def test_all_arrives_in_order(proxy: Proxy, mode: Mode) -> None:
    """Slow or in crumbs, every byte comes through."""
    data = bytes(range(256)) * 300
    with _connect(proxy) as connection:
        proxy.set_mode(mode)
        connection.sendall(data)
        assert _read(connection, len(data)) == data


def test_delay_delays(proxy: Proxy) -> None:
    """Both ways take their time."""
    with _connect(proxy) as connection:
        proxy.set_mode(Mode.DELAY)
        time.sleep(0.05)  # the mode changes in another thread
        started = time.monotonic()
        connection.sendall(b"x")
        _read(connection, 1)
        assert time.monotonic() - started > 0.1


def test_half_open_holds_everything_back(proxy: Proxy) -> None:
    """Nothing arrives and nothing ends; afterwards it goes on where it was."""
    with _connect(proxy) as connection:
        proxy.set_mode(Mode.HALF_OPEN)
        time.sleep(0.05)
        connection.sendall(b"x")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        proxy.set_mode(Mode.CLEAR)
        assert _read(connection, 1) == b"x"


def test_cut_resets(proxy: Proxy) -> None:
    """The peer learns that the connection is broken."""
    with _connect(proxy) as connection:
        assert proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert wait_until(lambda: not proxy.cut())


def test_refuse_takes_no_new_connection(proxy: Proxy) -> None:
    """What is open goes on."""
    with _connect(proxy) as connection:
        proxy.set_mode(Mode.REFUSE)
        time.sleep(0.05)
        with pytest.raises(ConnectionError), _connect(proxy):
            pass
        connection.sendall(b"x")
        assert _read(connection, 1) == b"x"


def test_without_a_server_connections_end(tmp_path: Path) -> None:
    """While there is no hub nobody is kept waiting."""
    proxy = Proxy(tmp_path / "nothing")
    with pytest.raises(ConnectionError), _connect(proxy):
        pass
    proxy.close()
