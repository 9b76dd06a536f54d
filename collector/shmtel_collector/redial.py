"""How long to wait before the hub is dialled again.

A hub on this host serves a few collectors, and is to be found at once when it is
back: the wait is drawn from the whole range up to a cap that doubles with each
failure ("full jitter"). The cap falls back only when a hub has acknowledged
something: one that dies right after each handshake must not be hammered.

A hub elsewhere may serve hundreds of hosts, which lose it in the same moment. Each
draws its own moment evenly from a whole period, and comes back about a period
later: the hub, or whatever stands in its place, sees the same few attempts in each
second from the first on. Drawing anew from the whole range each time would crowd
them: those that failed early come again among those that have not yet tried.

Rules: no clock, no sockets; whoever waits is the uplink.
"""

import ipaddress
import random
from collections.abc import Callable
from typing import Protocol

FIRST_CAP_SECONDS = 0.1
LAST_CAP_SECONDS = 2.0
PERIOD_SECONDS = 5.0
# A fixed period would never meet a hub that is up for a moment in each period; a
# large deviation crowds early retries among first tries (docs/design/0075).
DEVIATION = 0.1

Draw = Callable[[float, float], float]


class Redial(Protocol):
    """Says when to try again."""

    def next_delay(self) -> float:
        """Return how long to wait now, in seconds."""

    def welcomed(self) -> None:
        """The hub was there: what follows is a loss, not one more failure."""

    def proven(self) -> None:
        """The hub has acknowledged something."""

    def slow_down(self) -> None:
        """Expect no better for long: the hub speaks another version of the protocol."""


class Nearby:
    """For a hub on this host: soon, then less and less often."""

    def __init__(self, draw: Draw = random.uniform) -> None:
        self._draw = draw
        self._cap_seconds = FIRST_CAP_SECONDS

    def next_delay(self) -> float:
        """Return how long to wait now, in seconds; the next may be longer."""
        delay = self._draw(0.0, self._cap_seconds)
        self._cap_seconds = min(self._cap_seconds * 2.0, LAST_CAP_SECONDS)
        return delay

    def welcomed(self) -> None:
        """Prove nothing: a hub that dies after each welcome is not to be hammered."""

    def proven(self) -> None:
        """Begin anew: the other side has proven that it works."""
        self._cap_seconds = FIRST_CAP_SECONDS

    def slow_down(self) -> None:
        """Draw from the largest range at once."""
        self._cap_seconds = LAST_CAP_SECONDS


class Afar:
    """For a hub that many hosts may lose at once: evenly over a period."""

    def __init__(self, draw: Draw = random.uniform) -> None:
        self._draw = draw
        self._has_moment = False

    def next_delay(self) -> float:
        """Return how long to wait now, in seconds."""
        if not self._has_moment:
            self._has_moment = True
            return self._draw(0.0, PERIOD_SECONDS)
        return PERIOD_SECONDS * self._draw(1.0 - DEVIATION, 1.0 + DEVIATION)

    def welcomed(self) -> None:
        """Draw a new moment at the next loss: the others lose it then, too."""
        self._has_moment = False

    def proven(self) -> None:
        """Change nothing: a loss is spread in any case."""

    def slow_down(self) -> None:
        """Change nothing: it is slow already."""


def redial_of(address: str) -> Redial:
    """Return the way of dialling that suits an address."""
    return Nearby() if is_on_this_host(address) else Afar()


def is_on_this_host(address: str) -> bool:
    """Say whether an address leads to a unix socket or the loopback interface."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition("/")[2].rpartition(":")[0].strip("[]")
    host = host.removeprefix("dns:").removeprefix("ipv4:")
    host = host.removeprefix("ipv6:").strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
