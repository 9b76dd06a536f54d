"""DogStatsD over a unix datagram socket, with the datadog package's client.

The kernel holds few datagrams for such a socket; what finds it full is dropped
by the client.
"""

import socket
from pathlib import Path

from rivals import Sender, Sink, datagrams


def serve(directory: str) -> Sink:
    """Receive on a socket in the file system."""
    path = str(Path(directory, "statsd"))
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    return datagrams.receive(receiver, path)


def open_client(address: str) -> Sender:
    """Send each metric by itself, as the client does by default."""
    return _open(address, is_buffered=False)


def open_buffered(address: str) -> Sender:
    """Send several metrics in a datagram."""
    return _open(address, is_buffered=True)


def _open(address: str, *, is_buffered: bool) -> Sender:
    from datadog.dogstatsd import DogStatsd

    client = DogStatsd(socket_path=address, disable_buffering=not is_buffered)
    return datagrams.sender(client)
