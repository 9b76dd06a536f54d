"""What Celery knows of its queue and its tasks, told through Celery's own signals.

    app = Celery("shop", ...)
    instrument(app)

Where tasks are sent, the correlation ID in force and the span go along as headers.
Where they are received, each waits in line until a process of the pool takes it; the
moment travels with the task, for the clock is the host's. Where they run, each is a
span `python.call`, under the ID that came along, else under the task's own.

A worker's main process with the prefork pool is the parent of those that run tasks:
it has a ring of its own, in a pool of its own (`<pool>.master`). With other pools it
runs the tasks itself, and is a worker.

Rules: nothing here raises into Celery, which would log it; of a task that is killed
with its process the parent tells the end, since nobody else can.
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

from celery import bootsteps, signals
from celery.exceptions import TimeLimitExceeded, WorkerLostError

from shmtel import _ring, identities, ring
from shmtel._ring import emit, get_correlation_id
from shmtel.contrib.guard import guarded
from shmtel.correlations import HEADERS, correlation, outgoing_metadata
from shmtel.outcomes import describe_error

STATUS_PERIOD_S = 5.0

_SERVER = {"server": "celery"}
_DUE = "shmtel_due_ns"  # in a request: since when it waits for a worker
_CALL = "shmtel_call"  # of a request that runs: its span, and its correlation
_PREFORK = ("prefork", "processes", "celery.concurrency.prefork")


def instrument(app: Any, *, status_period_s: float = STATUS_PERIOD_S) -> None:
    """Follow an application's tasks, where they are sent and where they run.

    Call it where the application is made, so that clients and workers both do.

    Args:
        app: the Celery application.
        status_period_s: seconds between two `pool.status`.
    """
    if not _ring.is_switched_on():
        return
    for name, receiver in _RECEIVERS.items():
        getattr(signals, name).connect(
            _guard(receiver), weak=False, dispatch_uid=f"shmtel.{name}"
        )
    step = type("Status", (_Status,), {"period_s": status_period_s})
    app.steps["consumer"].add(step)


def _guard(receiver: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(receiver)
    def receive(**arguments: Any) -> None:
        with guarded("celery"):
            receiver(**arguments)

    return receive


class _Worker:
    """What a worker's process is, as far as it is one."""

    def __init__(self) -> None:
        self.pool: str | None = None  # the pool that it is the parent of
        self.main_pid: int | None = None
        self.is_child = False  # one of a pool of processes
        self.is_ready = False
        # By task id; while Celery holds them, they are under way.
        self.requests: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def about_pool(self) -> dict[str, Any]:
        pool = self.pool or identities.identity().pool_name
        return {**_SERVER, "subject_pool": pool}


_worker = _Worker()


# -- a worker's processes -----------------------------------------------------


def _on_init(sender: Any, **_: Any) -> None:
    _worker.main_pid = os.getpid()
    kind = sender.pool_cls
    if (kind if isinstance(kind, str) else kind.__module__).startswith(_PREFORK):
        _worker.pool = identities.name_parent()


def _on_create_process(**_: Any) -> None:
    about = _worker.about_pool()
    if not _worker.is_ready:  # later ones may replace one, or be more
        about["reason"] = "start"
    emit("pool.worker.spawn_started", {}, about)


def _on_process_init(**_: Any) -> None:
    _worker.pool = None
    _worker.is_child = _worker.main_pid != os.getpid()  # the solo pool says it too
    _worker.requests.clear()
    identities.name_worker()
    emit("pool.worker.booted", {}, _SERVER)


def _on_process_shutdown(pid: int, exitcode: int, **_: Any) -> None:
    from billiard.pool import EX_RECYCLE

    reason = "recycled" if exitcode == EX_RECYCLE else "exit"
    about = {**_worker.about_pool(), "subject_pid": pid, "reason": reason}
    emit("pool.worker.exited", {"exit_status": exitcode}, about)
    ring.end()  # a pool's process leaves by os._exit


def _on_ready(sender: Any, **_: Any) -> None:
    _worker.is_ready = True
    about = {**_worker.about_pool(), "service": identities.identity().service}
    emit("pool.initialized", {"workers": sender.pool.num_processes}, about)


class _Status(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Tells the pool's status; starts again when the broker was away."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    period_s = STATUS_PERIOD_S
    _entry: Any = None

    def start(self, consumer: Any) -> None:
        self._entry = consumer.timer.call_repeatedly(
            self.period_s, _guard(_tell_status), (), {"consumer": consumer}
        )

    def stop(self, consumer: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()


def _tell_status(consumer: Any) -> None:
    workers, (reserved, busy) = consumer.pool.num_processes, _requests()
    status = {
        "workers": workers,
        "busy_workers": busy,
        "available_workers": max(workers - busy, 0),
        "queue_depth": max(reserved - busy, 0),
    }
    about = {**_worker.about_pool(), "service": identities.identity().service}
    emit("pool.status", status, about)


def _requests() -> tuple[int, int]:
    """Count the tasks that are in this worker, and those of them that run."""
    from celery.worker import state  # clients do without

    return len(state.reserved_requests), len(state.active_requests)


def _queue_depth() -> int:
    reserved, active = _requests()
    return max(reserved - active, 0)


# -- a task on its way --------------------------------------------------------


def _on_publish(headers: dict[str, Any], **_: Any) -> None:
    headers.pop(_DUE, None)  # a retry is sent with what its task had, by another clock
    headers.update(outgoing_metadata())


def _on_received(request: Any, **_: Any) -> None:
    known = request.request_dict
    known[_DUE] = time.monotonic_ns() + _delay_ns(request.eta)
    _worker.requests[request.id] = request
    about = _about_queue(known.get("task"), request.delivery_info)
    with _correlation_of(known.get, request.id):
        emit("pool.queue.enqueued", {"queue_depth": _queue_depth() + 1}, about)


def _delay_ns(eta: datetime | None) -> int:
    """How long a task has to wait before it may run at all."""
    if eta is None:
        return 0
    now = datetime.now(UTC if eta.tzinfo else None)
    return max(int((eta - now).total_seconds() * 1e9), 0)


def _about_queue(command: object, delivery_info: Any) -> dict[str, Any]:
    queue = delivery_info.get("routing_key") if delivery_info else None
    return {**_worker.about_pool(), "queue": queue, "command": command}


def _correlation_of(get: Callable[[str], Any], task_id: str) -> Any:
    """Return the correlation that came along, else that in force, else the task's."""
    pairs = [(name, get(name)) for name in HEADERS]
    if get_correlation_id() is None:
        pairs.append(("x-request-id", task_id))
    return correlation(headers=pairs)


def _on_revoked(request: Any, terminated: bool, expired: bool, **_: Any) -> None:
    """Tell of one that will not run; `request` is what its task would have seen."""
    if terminated:
        _tell_lost(request.task, request.id, {"outcome": "cancelled"})
        return
    about = _about_queue(request.task, request.delivery_info)
    with _correlation_of(request.get, request.id):
        due_ns = request.get(_DUE)
        if due_ns is None:  # it was not even received
            emit("pool.queue.enqueued", {"queue_depth": _queue_depth() + 1}, about)
        measurements = {"wait": _since_ns(due_ns), "queue_depth": _queue_depth()}
        about["reason"] = "expired" if expired else "revoked"
        emit("pool.queue.timeout", measurements, about)


def _since_ns(due_ns: int | None) -> int:
    return 0 if due_ns is None else max(time.monotonic_ns() - due_ns, 0)


# -- a task that runs ---------------------------------------------------------


def _on_prerun(task: Any, task_id: str, **_: Any) -> None:
    request = task.request
    about = {"command": task.name, "task_id": task_id}
    in_force = _correlation_of(request.get, task_id)
    in_force.__enter__()
    if (due_ns := request.get(_DUE)) is not None:
        queue = _about_queue(task.name, request.delivery_info)
        emit("pool.queue.dequeued", {"wait": _since_ns(due_ns)}, queue)
    span = _ring.span("python.call", about)
    span.__enter__()
    setattr(request, _CALL, (span, in_force))


def _on_postrun(task: Any, state: str | None, retval: Any, **_: Any) -> None:
    """End the call; without a state something leaves that ends the process."""
    if state is None and _worker.is_child:
        return  # the parent will tell, as it does where this process is killed
    span, in_force = task.request.__dict__.pop(_CALL, (None, None))
    if span is None:
        return
    error = {"FAILURE": retval, None: sys.exception()}.get(state)
    if isinstance(error, BaseException):
        span.__exit__(type(error), error, error.__traceback__)
    else:
        span.set("state", state)
        span.__exit__(None, None, None)
    in_force.__exit__(None, None, None)


def _on_failure(sender: Any, task_id: str, exception: BaseException, **_: Any) -> None:
    if isinstance(exception, TimeLimitExceeded | WorkerLostError):
        _tell_lost(sender.name, task_id, describe_error({}, exception))


def _tell_lost(command: str, task_id: str, about: Mapping[str, Any]) -> None:
    """End the call of a task that has gone with its process; Celery may say it twice.

    While it says so it still holds the request.
    """
    request = _worker.requests.pop(task_id, None)
    if request is None:
        return
    measurements = {}
    if request.time_start is not None:
        duration_ns = int((time.time() - request.time_start) * 1e9)
        measurements["duration"] = max(duration_ns, 0)
    about = {"command": command, "task_id": task_id, **about}
    with _correlation_of(request.request_dict.get, task_id):
        emit("python.call.exception", measurements, about)


_RECEIVERS: dict[str, Callable[..., None]] = {
    "worker_init": _on_init,
    "worker_before_create_process": _on_create_process,
    "worker_process_init": _on_process_init,
    "worker_process_shutdown": _on_process_shutdown,
    "worker_ready": _on_ready,
    "before_task_publish": _on_publish,
    "task_received": _on_received,
    "task_revoked": _on_revoked,
    "task_prerun": _on_prerun,
    "task_postrun": _on_postrun,
    "task_failure": _on_failure,
}
