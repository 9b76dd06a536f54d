"""Sockets that datagrams are sent to."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.target import Target
from support.processes import wait_until
from support.statsd import Receiver

Send = Callable[[bytes], str | None]


@pytest.fixture
def target_of() -> Iterator[Callable[[str], tuple[Target, Send]]]:
    """Make targets, with a function that sends for a moment at most."""
    made: list[Target] = []

    def make(address: str) -> tuple[Target, Send]:
        target = Target(StatsdSettings(address))
        made.append(target)
        return target, lambda data: target.send(data, time.monotonic() + 0.1)

    yield make
    for target in made:
        target.close()


def test_a_server_that_was_started_anew(tmp_path: Path, target_of: Any) -> None:
    """Its next datagram arrives, by another socket."""
    path = tmp_path / "s"
    target, send = target_of(f"unix:{path}")
    assert send(b"a:1|c") == "absent"
    with Receiver(path):
        assert send(b"a:1|c") is None
    path.unlink()
    with Receiver(path) as receiver:
        assert send(b"a:2|c") is None
        receiver.read()
    assert receiver.datagrams == [b"a:2|c"]
    assert target.failures == {"absent": 1, "refused": 1}


def test_a_udp_port_that_nobody_reads(target_of: Any) -> None:
    """On one host the refusal is there when the datagram was sent."""
    with Receiver() as receiver:
        address = receiver.address
    target, send = target_of(address)
    wait_until(lambda: send(b"a:1|c") == "refused")
    assert target.failures["refused"] >= 2


def test_a_name_with_two_addresses(
    target_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is not there is passed over."""
    with Receiver() as receiver:
        port = int(receiver.address.split(":")[1])
        found = [
            (socket.AF_INET, socket.SOCK_DGRAM, 0, "", (host, port))
            for host in ("127.0.0.2", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
        _, send = target_of("statsd.example:8125")

        def has_arrived() -> bool:
            send(b"a:1|c")
            receiver.read()
            return bool(receiver.datagrams)

        wait_until(has_arrived)


def test_a_name_that_has_none(target_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up again for each flush."""
    lookups: list[None] = []

    def fail(*_arguments: Any, **_options: Any) -> None:
        lookups.append(None)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    target, send = target_of("statsd.example:8125")
    assert [send(b"a:1|c"), send(b"a:1|c")] == ["unresolved", "unresolved"]
    assert (len(lookups), target.failures) == (2, {"unresolved": 2})


def test_a_datagram_that_is_too_big(tmp_path: Path, target_of: Any) -> None:
    """The next one passes, by the same socket."""
    target, send = target_of(f"unix:{tmp_path / 's'}")
    with Receiver(tmp_path / "s") as receiver:
        assert send(bytes(1 << 22)) == "too_big"
        assert send(b"a:1|c") is None
        receiver.read()
    assert receiver.datagrams == [b"a:1|c"]
    assert target.failures == {"too_big": 1}
