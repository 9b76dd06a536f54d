"""DogStatsD over UDP on the loopback interface, with the datadog package's client."""

import socket

from rivals import Sender, Sink, datagrams


def serve(directory: str) -> Sink:
    """Receive on a free port."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    return datagrams.receive(receiver, str(receiver.getsockname()[1]))


def open_client(address: str) -> Sender:
    """Send each metric by itself, as the client does by default."""
    from datadog.dogstatsd import DogStatsd

    return datagrams.sender(DogStatsd(host="127.0.0.1", port=int(address)))
