"""The collector as a process: set up, run until told to stop, clean up.

`run` is what a command calls: it reports errors as one line and an exit code.
`Collector` is the same without a process around it.
"""

import asyncio
import contextlib
import gc
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable

from shmtel import catalog, procfs, segments
from shmtel.ending_signals import ending_signals
from shmtel.endpoints.server import serve
from shmtel.errors import ShmtelError
from shmtel_collector.admin import Admin, AdminError
from shmtel_collector.agent import Agent
from shmtel_collector.census import CensusTaker, OwnEvents
from shmtel_collector.chronicle import chronicle_of
from shmtel_collector.config import CollectorConfig, control_path, state_path
from shmtel_collector.counting import Counting
from shmtel_collector.deathwatch import Deathwatch
from shmtel_collector.discovery import Discovery
from shmtel_collector.enforcement import Enforcement
from shmtel_collector.fleet import Fleet
from shmtel_collector.hoard import Hoard
from shmtel_collector.host_counts import HostCounts
from shmtel_collector.journal import RingJournal
from shmtel_collector.link_events import JournalSink
from shmtel_collector.lock import NamespaceLock
from shmtel_collector.logs import ConditionLog
from shmtel_collector.operators import Operators
from shmtel_collector.origin import Origin
from shmtel_collector.session import Session
from shmtel_collector.spool import Spool
from shmtel_collector.spooled_rings import SpooledRings
from shmtel_collector.spooling import Spooling
from shmtel_collector.state import State
from shmtel_collector.steering import Clocks, Steering
from shmtel_collector.uplink import keep_poller
from shmtel_collector.validation import Validation
from shmtel_collector.watched import Watched

__all__ = ["Collector", "CollectorConfig", "run"]

EXIT_FAILED = 1
MAX_DESCRIPTORS = 65_536
_logger = logging.getLogger("shmtel.collector")


def run(config: CollectorConfig) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; return the exit code of the process.

    Raises:
        ConfigurationError: the catalog is wrong; the text says where, and the cure.
    """
    collector = Collector(config)
    _raise_descriptor_limit()
    keep_poller()
    gc.freeze()  # what was imported stays: no full collection need walk it again
    try:
        collector.run()
    except ShmtelError as error:
        _logger.error("%s", error)
        return EXIT_FAILED
    return 0


def _raise_descriptor_limit() -> None:
    """Each ring takes two descriptors; the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, MAX_DESCRIPTORS) if hard >= 0 else MAX_DESCRIPTORS
    if 0 <= soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Collector:
    """Serves one namespace of this host."""

    def __init__(self, config: CollectorConfig) -> None:
        """Take over the settings, and read the catalog.

        Raises:
            ConfigurationError: it is wrong; the text says where, and the cure.
        """
        self._config = config
        self._catalog = catalog.load(config.catalog)
        self._home = segments.home_of(config.directory)
        self._log = ConditionLog(_logger)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agent: Agent | None = None

    def run(self) -> None:
        """Serve until a signal ends it, or `stop`; blocks.

        Raises:
            ShmtelError: it cannot start, or had to give way; the text says why.
        """
        with (
            NamespaceLock(self._config.namespace, self._home.directory),
            contextlib.closing(self._open_state()) as state,
            contextlib.closing(self._open_spool()) as spool,
        ):
            asyncio.run(self._serve(state, spool))

    def stop(self) -> None:
        """Ask it to stop; from any thread, any number of times."""
        if self._loop is not None and self._agent is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._agent.stop)

    def _open_state(self) -> State:
        state = State(state_path(self._config.namespace, self._config.state_dir))
        if state.set_aside is not None:
            _logger.warning(
                "the state database was damaged and is set aside as %s; the "
                "totals of rings that ended before now are in there, and to the hub "
                "this is another host from now on",
                state.set_aside,
            )
        return state

    def _open_spool(self) -> Spool:
        config = self._config
        directory, path = config.spool_dir, None
        if directory is not None:
            path = directory.absolute() / f"{config.namespace}.spool.sqlite3"
        return Spool(path, config.spool_max_bytes, self._log)

    async def _serve(self, state: State, spool: Spool) -> None:
        loop = asyncio.get_running_loop()
        namespace = self._config.namespace
        epoch = state.next_epoch(time.time_ns())
        if self._config.spool_dir is None and state.spooled():
            _logger.warning(
                "rings of dead workers have events in a spool, and none is named; "
                "start with the --spool-dir of before to deliver them"
            )
        origin = Origin(socket.gethostname(), state.host_id(), namespace, epoch)
        validation = Validation(self._catalog, self._log)
        enforcement = Enforcement(state.policies, origin.node, self._log, validation)
        host = procfs.this_host()
        told = chronicle_of(self._config, state, host, self._log)
        deathwatch = Deathwatch(_LoopWatcher(loop, self._wake), host)
        discovery = Discovery(namespace, self._log, self._home)
        spooled = SpooledRings(
            spool, state, discovery.awaits, told.lifecycle.settle, self._log
        )
        fleet = Fleet(
            discovery,
            state,
            enforcement,
            deathwatch,
            epoch,
            spool,
            spooled,
            self._log,
            *(told.lifecycle, told.lives, told.pools),
        )
        steering = self._make_steering(state, fleet, enforcement, told.journal)
        counts = HostCounts(fleet, state.tally, spool, self._home, namespace)
        counting = Counting(fleet, counts)
        session = Session(fleet, steering, counting, origin, self._log)
        hub = self._config.hub
        hoard = Hoard(fleet, self._home, spool)
        spooling = Spooling(spool, fleet)
        agent = Agent(
            *(fleet, session, steering, hoard, spooling),
            *(told.resources, deathwatch, hub, self._log),
            JournalSink(told.journal, is_told=self._config.lifecycle),
        )
        self._agent = agent
        operators = Operators(steering, enforcement, origin.node, origin.host_id)
        self._loop = loop
        _watch_signals(loop, self._agent.stop)
        _logger.info("serving namespace %s, hub %s", namespace, self._config.hub)
        admin = await self._open_admin(operators)
        census = CensusTaker(
            *(namespace, epoch, fleet, state.tally, counts),
            *(session.link, lambda: steering.regime.fleet.version),
            validation.stripped,
            OwnEvents(told.journal.left_out, told.resources.unavailable),
        )
        watched = Watched(
            *(loop, census.take, lambda: agent.last_pass_ns),
            *(session.is_welcome, hub, state.path),
        )
        http = serve(watched, self._config.http, _logger)
        try:
            await agent.run()
        finally:
            await asyncio.to_thread(http.close)
            await admin.close()
            fleet.close()

    async def _open_admin(self, operators: Operators) -> Admin:
        path = self._config.socket or control_path(self._config.namespace)
        admin = Admin(path.absolute(), self._waking(operators.methods()))
        try:
            await admin.open()
        except AdminError as error:
            _logger.warning("no control on this host: %s", error)
        return admin

    def _waking(
        self, methods: dict[str, Callable[[bytes], bytes]]
    ) -> dict[str, Callable[[bytes], bytes]]:
        """Have the agent look after each call: there may be a status to send."""

        def waking(call: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
            def answer(data: bytes) -> bytes:
                self._wake()
                return call(data)

            return answer

        return {name: waking(call) for name, call in methods.items()}

    def _make_steering(
        self,
        state: State,
        fleet: Fleet,
        enforcement: Enforcement,
        journal: RingJournal,
    ) -> Steering:
        return Steering(
            fleet.rings,
            state.policies,
            self._config.guard,
            enforcement,
            journal,
            Clocks(time.time_ns, time.monotonic_ns),
            self._log,
        )

    def _wake(self) -> None:
        if self._agent is not None:
            self._agent.wake()


class _LoopWatcher:
    """Watches descriptors with the event loop, and wakes the agent after each."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._wake = wake

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        self._loop.add_reader(fd, self._fire, callback)

    def remove(self, fd: int) -> None:
        self._loop.remove_reader(fd)

    def _fire(self, callback: Callable[[], None]) -> None:
        callback()
        self._wake()


def _watch_signals(
    loop: asyncio.AbstractEventLoop, callback: Callable[[], None]
) -> None:
    """Obey signals; those of a process with another main thread are its own."""
    if threading.current_thread() is threading.main_thread():
        for number in ending_signals():
            loop.add_signal_handler(number, callback)
