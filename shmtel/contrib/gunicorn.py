"""What gunicorn's arbiter knows of its workers, told through gunicorn's own hooks.

    # gunicorn.conf.py, at its end
    from shmtel.contrib.gunicorn import instrument

    instrument(globals())

The hooks that the file has defined are called after ours. Each worker shares a page
of memory with the arbiter, in which it says whether it has booted and how many
requests it is in. So the arbiter knows busy workers, and who died before it was up.

Gunicorn has no hook for each turn of the arbiter's loop, and none that tells an exit
status. Both come from methods of the one arbiter, which are wrapped: in
`murder_workers`, called each second, the status is told; before `reap_workers` the
kernel is asked how each worker has ended.

Rules: with telemetry off nothing is changed; nothing here raises into gunicorn, nor
starts a thread in a process that forks; the arbiter has a ring of its own, in a pool
of its own (`<pool>.master`), and each worker has the names of its pool.
"""

import functools
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from gunicorn.config import make_settings

from shmtel import _ring, identities
from shmtel._ring import emit
from shmtel.children import BOOTED, BOOTING, FAILED, ChildExit, Page, exit_of
from shmtel.contrib.guard import guarded
from shmtel.contrib.wsgi import Middleware
from shmtel.outcomes import describe_error

STATUS_PERIOD_S = 5.0

_HOOKS = (
    *("on_starting", "when_ready", "on_reload", "pre_fork", "post_fork"),
    *("post_worker_init", "pre_request", "post_request", "worker_exit"),
)
# Those that call `worker.wsgi` as WSGI; another one may have an ASGI application.
_WSGI_WORKERS = frozenset({"SyncWorker", "ThreadWorker", "AsyncWorker"})
# Those that call the hooks of requests, unless they leave it to another server.
_TELLING_WORKERS = _WSGI_WORKERS | {"ASGIWorker"}
_BOOT_FAILURES = {3: "boot", 4: "application"}  # exit statuses of gunicorn's Arbiter
_UNACKED = slice(24, 28)  # tcpi_unacked in struct tcp_info; of a listener: its queue
_TCP_INFO_BYTES = 104


def instrument(
    settings: dict[str, Any],
    *,
    requests: bool = True,
    status_period_s: float = STATUS_PERIOD_S,
) -> None:
    """Add our hooks to those of a configuration file, which passes its `globals()`.

    Args:
        requests: make a span of each request, see `shmtel.contrib.wsgi`.
        status_period_s: seconds between two `pool.status`, at least 1.
    """
    if not _ring.is_switched_on():
        return
    _arbiter.configure(requests, status_period_s)
    known = make_settings()
    for name in _HOOKS:
        ours = getattr(_arbiter, name)
        if name in settings:
            try:
                known[name].set(settings[name])
            except Exception:  # gunicorn itself will say it, and better
                continue
        earlier = known[name].get()
        if getattr(earlier, "__wrapped__", None) != ours:
            settings[name] = _chain(ours, earlier)


def _chain(ours: Callable[..., None], earlier: Callable[..., Any]) -> Any:
    """Return a hook of the arity of ours, which calls both."""

    @functools.wraps(ours)
    def hook(*arguments: Any) -> Any:
        with guarded("gunicorn"):
            ours(*arguments)
        return earlier(*arguments)

    return hook


class _Arbiter:
    """The arbiter of this process; in a worker, what that was at the fork."""

    def __init__(self) -> None:
        self._has_spans = True
        self._period_ns = 0
        self._pool = ""
        self._pages: dict[int, Page] = {}  # by the worker's age, which is unique
        self._own: tuple[int, Page] | None = None  # of a worker
        self._told: set[int] = set()  # ages whose exit has been told
        self._started_ns = 0
        self._next_status_ns = 0
        self._is_initialized = False
        self._to_replace = self._to_reload = 0

    def configure(self, has_spans: bool, status_period_s: float) -> None:
        self._has_spans = has_spans
        self._period_ns = int(status_period_s * 1e9)
        self._pool = identities.name_parent()  # now, for it may load the application

    # -- in the arbiter ------------------------------------------------------

    def on_starting(self, server: Any) -> None:
        self._pool = identities.name_parent()  # gunicorn may have set variables
        self._started_ns = time.monotonic_ns()

    def when_ready(self, server: Any) -> None:
        tick, reap = server.murder_workers, server.reap_workers

        def murder_workers() -> None:
            with guarded("gunicorn"):
                self._tell_initialized(server)
                self._tell_status(server)
            tick()

        def reap_workers() -> None:
            workers = list(server.WORKERS.values())
            with guarded("gunicorn"):
                self._tell_exits(workers)
            try:
                reap()
            finally:
                with guarded("gunicorn"):
                    self._forget_gone(server, workers)

        server.murder_workers, server.reap_workers = murder_workers, reap_workers

    def on_reload(self, server: Any) -> None:
        self._pool = identities.name_parent()
        self._to_reload = server.cfg.workers

    def pre_fork(self, server: Any, worker: Any) -> None:
        self._pages[worker.age] = Page()
        about = self._about(reason=self._reason_to_spawn(), age=worker.age)
        emit("pool.worker.spawn_started", {}, about)

    def _reason_to_spawn(self) -> str:
        if self._to_reload:
            self._to_reload -= 1
            return "reload"
        if self._to_replace:
            self._to_replace -= 1
            return "replacement"
        return "scaled" if self._is_initialized else "start"

    def _about(self, **more: Any) -> dict[str, Any]:
        return {"subject_pool": self._pool, "server": "gunicorn", **more}

    def _about_pool(self) -> dict[str, Any]:
        return self._about(service=identities.identity().service)

    def _ready(self, server: Any) -> list[Page]:
        pages = (self._pages.get(each.age) for each in server.WORKERS.values())
        return [page for page in pages if page and page.state == BOOTED]

    def _tell_initialized(self, server: Any) -> None:
        workers = len(self._ready(server))
        if self._is_initialized or workers < server.num_workers:
            return
        self._is_initialized = True
        start_up_ns = time.monotonic_ns() - self._started_ns
        measurements = {"workers": workers, "start_up": start_up_ns}
        emit("pool.initialized", measurements, self._about_pool())

    def _tell_status(self, server: Any) -> None:
        now_ns = time.monotonic_ns()
        if now_ns < self._next_status_ns:
            return
        self._next_status_ns = now_ns + self._period_ns
        ready = self._ready(server)
        status = {"workers": len(server.WORKERS), "ready": len(ready)}
        room = _requests_at_once(server.worker_class, server.cfg)
        if room is not None:
            status["busy_workers"] = sum(page.requests > 0 for page in ready)
            status["available_workers"] = sum(page.requests < room for page in ready)
        depth = _queue_depth(server.LISTENERS)
        if depth is not None:
            status["queue_depth"] = depth
        emit("pool.status", status, self._about_pool())

    def _tell_exits(self, workers: list[Any]) -> None:
        for worker in workers:
            if worker.age not in self._told and (found := exit_of(worker.pid)):
                self._tell_exit(worker, found)

    def _tell_exit(self, worker: Any, found: ChildExit) -> None:
        self._told.add(worker.age)
        about = self._about(subject_pid=worker.pid, age=worker.age)
        if found.signal_name is not None:
            about["signal"] = found.signal_name
        status = {} if found.status is None else {"exit_status": found.status}
        page = self._pages.get(worker.age)
        if page and page.state == BOOTING and found.status != 0:
            reason = _BOOT_FAILURES.get(found.status or 0, found.reason)
            emit("pool.worker.spawn_failed", status, {**about, "reason": reason})
        about["reason"] = "timeout" if worker.aborted else found.reason
        lifetime = {"lifetime": page.age_ns()} if page else {}
        emit("pool.worker.exited", status | lifetime, about)

    def _forget_gone(self, server: Any, workers: list[Any]) -> None:
        """Tell those too that ended between question and reaping."""
        living = {worker.age for worker in server.WORKERS.values()}
        gone = [worker for worker in workers if worker.age not in living]
        for worker in gone:
            if worker.age not in self._told:
                self._tell_exit(worker, ChildExit())
        self._to_replace += min(len(gone), max(server.num_workers - len(living), 0))
        self._told &= living
        self._pages = {age: p for age, p in self._pages.items() if age in living}

    # -- in a worker ---------------------------------------------------------

    def post_fork(self, server: Any, worker: Any) -> None:
        identities.name_worker()
        self._own = worker.age, self._pages[worker.age]
        self._pages = {}  # of its siblings

    def post_worker_init(self, worker: Any) -> None:
        if self._own is not None:
            age, page = self._own
            page.state = BOOTED
            about = {"server": "gunicorn", "age": age}
            emit("pool.worker.booted", {"start_up": page.age_ns()}, about)
        if self._has_spans and _class_names(type(worker)) & _WSGI_WORKERS:
            worker.wsgi = Middleware(worker.wsgi)

    def pre_request(self, worker: Any, req: Any) -> None:
        if self._own is not None:
            self._own[1].add_requests(1)

    def post_request(self, worker: Any, req: Any, environ: Any, resp: Any) -> None:
        if self._own is not None:
            self._own[1].add_requests(-1)

    def worker_exit(self, server: Any, worker: Any) -> None:
        """Tell why it has not booted; the arbiter knows only an exit status."""
        error = sys.exception()
        status = error.code if isinstance(error, SystemExit) else None
        if error is None or self._own is None or not isinstance(status, int):
            return
        age, page = self._own
        if page.state != BOOTING or status == 0:
            return
        page.state = FAILED
        about = self._about(subject_pid=os.getpid(), age=age)
        about["reason"] = _BOOT_FAILURES.get(status, "exit")
        if error.__context__ is not None:
            cause = describe_error({}, error.__context__)
            about |= {key: cause[key] for key in ("error_type", "error_message")}
        emit("pool.worker.spawn_failed", {"exit_status": status}, about)


# The one arbiter of this process: its configuration file is run at each reload.
_arbiter = _Arbiter()


def _class_names(kind: type) -> set[str]:
    return {each.__name__ for each in kind.__mro__}


def _requests_at_once(kind: type, cfg: Any) -> int | None:
    """How many requests a worker takes at a time; None where it tells of none."""
    names = _class_names(kind)
    if getattr(kind, "server_class", None) or not names & _TELLING_WORKERS:
        return None
    if "SyncWorker" in names:
        return 1
    return int(cfg.threads if "ThreadWorker" in names else cfg.worker_connections)


def _queue_depth(listeners: list[Any]) -> int | None:
    """Connections that no worker has accepted yet; None where it cannot be known."""
    depth = 0
    for listener in listeners:
        if listener.sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        info = listener.sock.getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES
        )
        depth += int.from_bytes(info[_UNACKED], sys.byteorder)
    return depth if listeners else None
