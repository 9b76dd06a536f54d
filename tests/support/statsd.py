"""What StatsD servers receive: read by a few lines of the test's own, and by etsy's
server, which npm installs once into `build/`."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support.processes import wait_until
from support.program import stopped_at_exit

WAIT_S = 30.0
PACKAGE = "statsd@0.9.0"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PLACE = Path(__file__).parents[2] / "build" / "npm"
_BYTES = 65_536


class Receiver:
    """A socket that datagrams come to.

    Attributes:
        datagrams: as they came.
        counted: sums of counters, by name and tags.
        last: gauges, by name and tags.
    """

    def __init__(self, path: Path | None = None) -> None:
        family = socket.AF_INET if path is None else socket.AF_UNIX
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0) if path is None else str(path))
        self._socket.setblocking(False)
        name = self._socket.getsockname()
        self.address = f"unix:{path}" if path else f"{name[0]}:{name[1]}"
        self.datagrams: list[bytes] = []
        self.counted: Counter[str] = Counter()
        self.last: dict[str, float] = {}

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_raised: object) -> None:
        self._socket.close()

    def read(self) -> None:
        """Take what has come."""
        while True:
            try:
                datagram = self._socket.recv(_BYTES)
            except BlockingIOError:
                return
            self.datagrams.append(datagram)
            for line in datagram.decode().split("\n"):
                self._take(line)

    def wait_counted(self, name: str, value: float) -> None:
        """Wait until a counter, summed up over its tags, has a value or more."""
        wait_until(lambda: self.read() or self.total(name) >= value, WAIT_S)

    def total(self, name: str) -> float:
        """Return the sum of all counters of a name."""
        return sum(v for k, v in self.counted.items() if k.split("#")[0] == name)

    def _take(self, line: str) -> None:
        told, _, tags = line.partition("|#")
        name, _, rest = told.partition(":")
        value, kind, *_rate = rest.split("|")
        key = f"{name}#{tags}" if tags else name
        if kind == "c":
            self.counted[key] += float(value) if "." in value else int(value)
        elif kind == "g":
            self.last[key] = float(value)


class EtsyServer:
    """Etsy's own server, asked at its administration port."""

    def __init__(self, port: int, port_asked: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port_asked = port_asked

    def ask(self, what: str) -> dict[str, float]:
        """Return its `counters` or `gauges`."""
        with closing(
            socket.create_connection(("127.0.0.1", self._port_asked))
        ) as asked:
            asked.sendall(what.encode())
            text = b""
            while not text.endswith(b"END\n\n"):
                text += asked.recv(_BYTES)
        pairs = re.findall(r"'?([^\s',{]+)'?: (-?[\d.]+)", text.decode())
        return {name: float(value) for name, value in pairs}

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self.ask("counters"))
        except OSError:
            return False


@contextmanager
def etsy_server(directory: Path) -> Iterator[EtsyServer]:
    """Run a server that keeps what it got, for it never flushes in our time."""
    port, port_asked = _free(socket.SOCK_DGRAM), _free(socket.SOCK_STREAM)
    settings = {
        **{"address": "127.0.0.1", "port": port, "flushInterval": 3_600_000},
        **{"mgmt_address": "127.0.0.1", "mgmt_port": port_asked},
        "backends": ["./backends/console"],
    }
    config = directory / "statsd.js"
    config.write_text(json.dumps(settings))
    program = _installed() / "node_modules" / "statsd" / "stats.js"
    with (directory / "statsd.log").open("w") as log:
        process = subprocess.Popen(["node", program, config], stdout=log, stderr=log)
    with stopped_at_exit(process):
        server = EtsyServer(port, port_asked)
        wait_until(server.is_ready, WAIT_S)
        yield server


def _installed() -> Path:
    """Return where the package is; what is optional needs a compiler, and is not."""
    if not _PLACE.exists():
        _PLACE.parent.mkdir(exist_ok=True)
        new = _PLACE.with_name("npm.new")
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run(
            [
                *("npm", "install", "--prefix", new, "--omit=optional"),
                *("--ignore-scripts", "--no-audit", "--no-fund", PACKAGE),
            ],
            check=True,
            env=_with_certificates(),
            stdout=subprocess.DEVNULL,
            timeout=100,
        )
        new.rename(_PLACE)  # whole, or not at all
    return _PLACE


def _with_certificates() -> dict[str, str]:
    """Return our environment, in which node trusts whom the system trusts.

    It brings certificates of its own; those that a host has added are in the system's.
    """
    is_there = _CERTIFICATES.exists()
    trusted = {"NODE_EXTRA_CA_CERTS": str(_CERTIFICATES)} if is_there else {}
    return {**trusted, **os.environ}


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
