"""The bridge: a thread that reads the metrics of a hub now and then, and sends.

    with StatsdBridge(hub.measures, StatsdSettings("127.0.0.1:8125")):
        hub.start()
        ...
        hub.stop()

It begins at what metrics stand at when it is started, and ends with a last flush, so
it is started before its hub and stopped after it.

Rules:
- the hub never waits for it: what it reads is there anyway;
- whatever a flush meets, the next one comes.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping

from shmtel.hub.bridges.account import BridgeAccount
from shmtel.hub.bridges.base import MetricSource
from shmtel.hub.bridges.statsd.datagrams import Datagram, datagrams_of
from shmtel.hub.bridges.statsd.settings import StatsdSettings
from shmtel.hub.bridges.statsd.target import OF_DATAGRAM, Target
from shmtel.hub.bridges.statsd.teller import Line, Teller

_log = logging.getLogger(__name__)

LINES = "lines"
TOO_LONG, STOPPED, DEFECT = "too_long", "stopped", "defect"
_PATIENCE_S = 0.2  # of a flush, for a server that reads slowly
STOP_S = 0.3
_SENDING = 2 / 3  # of the time to stop; the rest is for what comes before and after


class StatsdBridge:
    """Sends what was added to metrics, and their last values, to a server.

    Args:
        source: is read for each flush.
        settings: where to, and how.
    """

    bridge_name = "statsd"

    def __init__(
        self, source: MetricSource, settings: StatsdSettings | None = None
    ) -> None:
        self.settings = settings = settings or StatsdSettings()
        self._source = source
        self._teller = Teller(settings)
        self._target = Target(settings)
        self._dropped: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._sent = 0
        self._is_away = False
        self._account = BridgeAccount()
        self._ending = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(
            target=self._run, name="shmtel-statsd", daemon=True
        )

    def start(self) -> None:
        """Send what is added from now on."""
        self._teller.begin(self._source.read())
        self._thread.start()

    def stop(self, seconds: float = STOP_S) -> None:
        """Send what there is and stop, within so many seconds; once."""
        if self._ending.is_set():
            return
        self._deadline = time.monotonic() + seconds * _SENDING
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
            if self._thread.is_alive():
                _log.warning("statsd: the last flush did not end in %.1f s", seconds)

    def __enter__(self) -> "StatsdBridge":
        self.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stop()

    def accounts(self) -> Mapping[str, BridgeAccount]:
        """Return what became of lines, as of the last flush.

        A line that could not be sent is made anew by the next flush, with what was
        added meanwhile: what waits are those of the last one.
        """
        return {LINES: self._account}

    # -- in its thread -------------------------------------------------------

    def _run(self) -> None:
        while not self._ending.wait(self.settings.interval_s):
            self._flush_safely(time.monotonic() + _PATIENCE_S)
        unsent = self._flush_safely(self._deadline)
        if unsent:
            _log.warning("statsd: %d lines could not be sent any more", unsent)
            self._dropped[STOPPED] += unsent
            self._tell(waiting=0)
        self._target.close()

    def _flush_safely(self, deadline: float) -> int:
        """Flush; return how many lines could not be sent."""
        try:
            return self._flush(deadline)
        except Exception:
            if not self._failures[DEFECT]:
                _log.exception("statsd: a defect, of which one line says enough")
            self._failures[DEFECT] += 1
            self._tell(waiting=self._account.waiting)
            return 0

    def _flush(self, deadline: float) -> int:
        unsent: list[Line] = []
        reason = None
        lines = self._teller.lines(self._source.read())
        for datagram in datagrams_of(lines, self.settings.datagram_max_bytes):
            if len(datagram.data) > self.settings.datagram_max_bytes:
                self._drop(datagram)
                continue
            if reason is None or reason in OF_DATAGRAM:
                reason = self._target.send(datagram.data, deadline)
                if reason is None:
                    self._note(datagram)
                    continue
            unsent += datagram.lines
        self._teller.keep(unsent)
        self._tell(waiting=len(unsent))
        self._say(reason, len(unsent), len(lines))
        return len(unsent)

    def _note(self, datagram: Datagram) -> None:
        self._sent += len(datagram.lines)
        for line in datagram.lines:
            line.note()

    def _drop(self, datagram: Datagram) -> None:
        """Give up a line that is too long, for it will not be shorter next time."""
        self._dropped[TOO_LONG] += len(datagram.lines)
        for line in datagram.lines:
            line.note()

    def _tell(self, *, waiting: int) -> None:
        """Make the account anew: whoever asks for it gets one of one moment."""
        dropped = self._dropped + self._teller.dropped
        self._account = BridgeAccount(
            given=self._sent + waiting + dropped.total(),
            sent=self._sent,
            waiting=waiting,
            dropped=dropped,
            failures=self._failures + self._target.failures,
        )

    def _say(self, reason: str | None, unsent: int, lines: int) -> None:
        """Log when the server goes and comes, not each flush."""
        address = self.settings.address
        if unsent and not self._is_away:
            _log.warning(
                "statsd: %s does not take %d of %d lines (%s); what they tell is sent"
                " later",
                *(address, unsent, lines, reason),
            )
        elif self._is_away and lines and not unsent:
            _log.info("statsd: %s takes all lines again", address)
        self._is_away = bool(unsent) or (self._is_away and not lines)
