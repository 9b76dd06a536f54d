"""The thread that sends one signal, and tries again as the OTLP specification says.

A request that fails in a way that may pass is sent again, after a delay that grows
and is drawn at random, or after the one that the backend asks for; until it has been
tried for `retry_s`. One that is refused is dropped at once.

A backend that took a request whose answer was lost gets it twice: OTLP has no better.

Rules:
- one signal knows nothing of another, so that a backend for logs that is away does
  not hold up spans;
- a failure is logged once, and so is its end; what backends say of one may differ
  each time, and one may come and go: there are lines about it once a minute.
"""

import logging
import math
import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from shmtel.hub.bridges.account import BridgeAccount
from shmtel.hub.bridges.opentelemetry.outbox import GIVEN_UP, REFUSED, Outbox

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.5
_DELAY_MAX_S = 30.0
_GROWTH = 1.5
_SAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        error: empty: it was taken.
        may_pass: whether it is worth trying again.
        delay_s: for how long the backend wants to be left alone; None: it did not say.
        rejected: how many items it did not take of a request that it took.
        message: what it says about that.
    """

    error: str = ""
    may_pass: bool = False
    delay_s: float | None = None
    rejected: int = 0
    message: str = ""


class Client(Protocol):
    """Carries requests of one signal to a backend."""

    def send(self, request: bytes, timeout_s: float) -> Answer:
        """Send a request and wait for its answer, which is a failure, too."""

    def close(self) -> None:
        """Let go of the connection."""


class Sender:
    """Sends what comes through an outbox."""

    def __init__(
        self,
        signal: str,
        client: Client,
        outbox: Outbox,
        *,
        timeout_s: float,
        retry_s: float,
    ) -> None:
        self._signal = signal
        self._client = client
        self.outbox = outbox
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._failing = ""  # what was said of it; empty: all is well, or nothing was
        self._said_s = -math.inf
        self._complained = False
        self._thread = threading.Thread(
            target=self._run, name=f"shmtel-otlp-{signal}", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def account(self) -> BridgeAccount:
        """Return what became of the items."""
        return self.outbox.account()

    def join(self, deadline: float) -> None:
        """Wait until all is sent, until a monotonic time; what is left is dropped."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        left = self.outbox.give_up()
        if left:  # nobody reads a metric of a hub that has ended
            _log.warning("OTLP: %d %s could not be sent any more", left, self._signal)

    def _run(self) -> None:
        try:
            while (request := self.outbox.take()) is not None:
                self._deliver(request)
        finally:
            self._client.close()

    def _deliver(self, request: bytes) -> None:
        began, delay_s = time.monotonic(), _FIRST_DELAY_S
        while True:
            answer = self._send(request)
            if not answer.error:
                self._note_success(answer)
                self.outbox.settle(answer.rejected)
                return
            self._note_failure(answer)
            if not answer.may_pass:
                self.outbox.drop(REFUSED)
                return
            wait_s = answer.delay_s
            if wait_s is None:
                wait_s = random.uniform(delay_s / 2, delay_s)
                delay_s = min(delay_s * _GROWTH, _DELAY_MAX_S)
            if time.monotonic() + wait_s - began > self._retry_s:
                self.outbox.drop(GIVEN_UP)
                return
            if not self.outbox.pause(wait_s):
                return  # it was dropped with all that was left

    def _send(self, request: bytes) -> Answer:
        try:
            return self._client.send(request, self._timeout_s)
        except Exception as error:  # a defect; the thread has to go on all the same
            return Answer(error=f"{type(error).__name__}: {error}")

    def _note_failure(self, answer: Answer) -> None:
        now_s = time.monotonic()
        if answer.error == self._failing or now_s - self._said_s < _SAY_S:
            return
        self._failing, self._said_s = answer.error, now_s
        fate = "are sent again" if answer.may_pass else "are dropped and counted"
        _log.warning("OTLP: %s; the %s %s", answer.error, self._signal, fate)

    def _note_success(self, answer: Answer) -> None:
        if self._failing:
            _log.info("OTLP: %s are taken again", self._signal)
            self._failing = ""
        if (answer.rejected or answer.message) and not self._complained:
            self._complained = True  # one line says enough
            _log.warning(
                "OTLP: of the %s the backend has rejected %d: %s",
                *(self._signal, answer.rejected, answer.message),
            )
