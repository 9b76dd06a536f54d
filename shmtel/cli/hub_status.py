"""`shmtel hub` while it runs: a table on a terminal, or lines in its log.

Looking at the hub and writing are done by a thread of their own: a terminal that is
stopped with Ctrl-S holds up neither the hub nor its end.

Rules:
- what the hub logs meanwhile is put above the table;
- adding up the ledger of a large fleet takes a while: it is done in a twentieth of the
  time at most;
- whatever fails here, the hub goes on.
"""

import logging
import sys
import threading
import time
from typing import Any, Protocol, TextIO

from shmtel.accounting.fleet import LIVE, FleetLedger
from shmtel.cli.hub_options import OFF
from shmtel.cli.hub_table import HostLook, HubLook, hub_line, hub_table, is_news
from shmtel.cli.screen import Screen
from shmtel.hub.hub import Hub

_log = logging.getLogger(__name__)

LIVE_S, LINES_S = 1.0, 60.0
QUIET_S = 900.0  # a line after so long, also when nothing has happened
_LEDGER_SHARE = 20  # the ledger is added up in so little of the time: one part of it
_JOIN_S = 0.5


class Status(Protocol):
    """Something that is shown until it is closed."""

    def close(self) -> None:
        """Show the last state, and no more."""


class NoStatus:
    """Shows nothing."""

    def close(self) -> None:
        """There is nothing to close."""


class View(Protocol):
    """What a hub is shown in."""

    def show(self) -> None:
        """Show how it is now."""

    def end(self) -> None:
        """Leave everything as it was found."""


class ShownStatus:
    """Shows a hub in a thread of its own."""

    def __init__(self, view: View, period_s: float) -> None:
        self._view = view
        self._period_s = period_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="shmtel-status", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Show the last state, and no more."""
        self._is_over.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            while not self._is_over.wait(self._period_s):
                self._view.show()
            self._view.show()
        except Exception as error:  # the terminal has gone, or it is a defect
            self._view.end()
            _log.warning("what the hub does is shown no more: %r", error)
        else:
            self._view.end()


def show_status(hub: Hub, status: float | str, *, is_live: bool) -> Status:
    """Show a hub on stderr.

    Args:
        status: seconds from one look to the next, or `auto`, or `off`.
        is_live: whether to draw a table, if stderr is a terminal.
    """
    if status == OFF:
        return NoStatus()
    period_s = None if isinstance(status, str) else status
    if is_live and sys.stderr.isatty():
        return ShownStatus(_Table(hub, sys.stderr), period_s or LIVE_S)
    if not _log.isEnabledFor(logging.INFO):
        return NoStatus()
    return ShownStatus(_Lines(hub), period_s or LINES_S)


class _Looker:
    """Looks at a hub, and does not take much of its time for it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ledger = FleetLedger()
        self._next_s = 0.0

    def look(self) -> HubLook:
        """Return what there is now."""
        hub, ledger, seen = self._hub, self._added_up(), self._hub.insight.events()
        return HubLook(
            *(time.monotonic(), hub.address, hub.stats(), ledger.total),
            hosts=self._hosts(ledger),
            live_rings=sum(ring.state == LIVE for ring in ledger.rings),
            events={event.name: event.delivered for event in seen.events},
            unread=seen.unread,
            handlers=hub.insight.handlers(),
            reasons=hub.readiness().reasons,
        )

    def _added_up(self) -> FleetLedger:
        started = time.monotonic()
        if started >= self._next_s:
            self._ledger = self._hub.ledger()
            ended = time.monotonic()
            self._next_s = ended + _LEDGER_SHARE * (ended - started)
        return self._ledger

    def _hosts(self, ledger: FleetLedger) -> list[HostLook]:
        now_ns = time.time_ns()
        since_ns = {host.host_id: host.since_ns for host in self._hub.insight.hosts()}
        unanswered_ns = self._hub.oldest_unanswered_ns()
        return [
            HostLook(
                node=known.host.node,
                connected_s=None
                if (since := since_ns.get(known.host.host_id)) is None
                else max(now_ns - since, 0) / 1e9,
                unanswered_s=unanswered_ns.get(known.host.host_id, 0) / 1e9,
                account=known.account,
            )
            for known in ledger.hosts
            if known.host.host_id
        ]


class _Table:
    """Draws on a terminal, below what is logged."""

    def __init__(self, hub: Hub, stream: TextIO) -> None:
        self._looker = _Looker(hub)
        self._screen = Screen(stream)
        self._before: HubLook | None = None
        self._handlers = _log_above(self._screen)

    def show(self) -> None:
        """Draw it again."""
        now = self._looker.look()
        self._screen.show(hub_table(self._before, now, self._screen.columns))
        self._before = now

    def end(self) -> None:
        """Let it stand; what is logged from now on goes below it."""
        self._screen.leave()
        for handler in self._handlers:
            handler.setStream(sys.stderr)


class _Lines:
    """Writes lines into the log, when there is something to say."""

    def __init__(self, hub: Hub) -> None:
        self._looker = _Looker(hub)
        self._before: HubLook | None = None
        self._said: HubLook | None = None

    def show(self) -> None:
        """Say how it is, if that is news or was not said for long."""
        now = self._looker.look()
        said = self._said
        is_due = said is None or now.monotonic_s - said.monotonic_s >= QUIET_S
        if is_due or is_news(said, now):
            _log.info("%s", hub_line(self._before, now))
            self._said = now
        self._before = now

    def end(self) -> None:
        """There is nothing to leave."""


def _log_above(screen: Screen) -> list["logging.StreamHandler[Any]"]:
    """Put what is logged on stderr above what the screen shows."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
    for handler in handlers:
        handler.setStream(_Above(screen))
    return handlers


class _Above:
    """What is written here goes above what a screen shows."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def write(self, text: str) -> None:
        """Write lines."""
        self._screen.say(text.rstrip("\n"))

    def flush(self) -> None:
        """Nothing is kept back."""
