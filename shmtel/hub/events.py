"""What the hub itself tells its handlers: `policy.changed`, `handler.failure`.

Whoever has something to tell, an operator, a handler or a collector that changes
the policy or refuses it, or the end of a handler that raised, only puts an event
here. One thread hands them out, in order: a handler may therefore change the policy
in turn, and none of the hub's locks is held while handlers run.

A handler that raises at `handler.failure` is one more failure, and gone: so there
are at most as many as there are handlers.

They look like the events of any worker, one whose id is `hub`, in a ring of
their own with seqs without gaps. What finds no room is counted and takes a seq,
so that the gap shows.

Rules:
- putting an event never waits.
"""

import logging
import os
import queue
import secrets
import socket
import sys
import threading
import time
from collections.abc import Mapping

from shmtel.hub.dispatch import Dispatcher
from shmtel.hub.handlers import RequiredHandlerError
from shmtel.hub.progress import Errand
from shmtel.hub.records import Record
from shmtel.hub.routes import Source
from shmtel.wire.frames import Worker

_log = logging.getLogger(__name__)

POLICY_CHANGED = "policy.changed"
HANDLER_FAILURE = "handler.failure"
_NAMES = (POLICY_CHANGED, HANDLER_FAILURE)
WORKER_ID = "hub"
POOL_NAME = "shmtel"
WAITING_MAX = 1_024


class HubEvents:
    """Hands the hub's own events to its handlers."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._waiting: queue.Queue[Record | None] = queue.Queue(WAITING_MAX)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._last_seq = 0
        self._is_closed = False
        self.dropped = 0
        worker = Worker(
            worker_id=WORKER_ID,
            pool_name=POOL_NAME,
            service=POOL_NAME,
            pid=os.getpid(),
            created_ns=time.time_ns(),
            python=sys.version.partition(" ")[0],
        )
        node, ring_id = socket.gethostname(), secrets.token_hex(16)
        self._source = Source(node, worker, ring_id, list(_NAMES))

    def put(
        self,
        measurements: Mapping[str, int],
        metadata: Mapping[str, object],
        event: str = POLICY_CHANGED,
    ) -> None:
        """Hand out an event, soon."""
        with self._lock:
            self._last_seq += 1
            record = Record(
                event_id=_NAMES.index(event),
                seq=self._last_seq,
                timestamp_ns=time.time_ns(),
                threshold=0,
                correlation_id=None,
                measurements=dict(measurements),
                metadata=dict(metadata),
                span=None,
            )
            try:
                if self._is_closed:
                    raise queue.Full
                self._waiting.put_nowait(record)
            except queue.Full:
                self.dropped += 1
                return
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="shmtel-hub-events", daemon=True
            )
            self._thread.start()

    def close(self, seconds: float) -> None:
        """Hand out what waits, for at most so long, and take no more."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is None:
            return
        deadline = time.monotonic() + seconds
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return  # a handler hangs; it is not waited for
        thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (record := self._waiting.get()) is not None:
            errand = Errand()
            try:
                self._dispatcher.deliver(self._source, [record], deed=errand)
                errand.wait()
            except RequiredHandlerError as error:
                # The hub has failed: nothing is delivered any more, and its owner
                # sees it by `Hub.failure`.
                _log.error("%s is kept nowhere: %s", _NAMES[record.event_id], error)
