"""The metrics that a hub keeps unless it is told otherwise: those of the catalog.

Counts and durations are of the whole fleet, by what was done. What a worker or a pool
is at now is a last value by worker or pool, and goes with it.
"""

from shmtel.hub.measures.metric import (
    EVENT,
    Metric,
    counter,
    distribution,
    last_value,
    sum,
    summary,
)

_PERIODIC_S = 300  # several periods of what is told now and then
_POOL = {"pool": "subject_pool"}
_PLACE = {"node": "node", "pool": "subject_pool"}
_WORKER = {**_PLACE, "worker": "subject"}
_CALL = ["method", "service", "side", "status"]


def default_metrics() -> list[Metric]:
    """Return the definitions, new ones at each call."""
    return [
        counter(
            *("shmtel.events", "*"),
            tags=[EVENT],
            description="Events by name, as the ledger counts them as delivered.",
        ),
        *_calls(),
        *_tools(),
        *_grpc(),
        *_pools(),
        *_queues_and_sessions(),
        *_workers(),
        *_processes(),
        *_interpreters(),
    ]


def _calls() -> list[Metric]:
    return [
        distribution(
            "shmtel.python.call.duration",
            ["python.call.stop", "python.call.exception"],
            *("duration",),
            unit="ns->s",
            tags=["command"],
            description="Calls that have ended, by command.",
        ),
        counter(
            *("shmtel.python.call.exceptions", "python.call.exception"),
            tags=["command", "error_type"],
            description="Calls that have raised.",
        ),
    ]


def _tools() -> list[Metric]:
    return [
        distribution(
            "shmtel.tool.execution.duration",
            ["tool.execution.stop", "tool.execution.exception"],
            *("duration",),
            unit="ns->s",
            tags=["tool", "operation"],
            description="Executions that have ended, by tool and operation.",
        ),
        counter(
            *("shmtel.tool.execution.exceptions", "tool.execution.exception"),
            tags=["tool", "operation", "error_type"],
            description="Executions that have raised.",
        ),
        sum(
            *("shmtel.tool.execution.size", "tool.execution.stop", "bytes"),
            unit="bytes",
            tags=["tool"],
            description="Bytes that executions have handled.",
        ),
        summary(
            *("shmtel.tool.result.size", "tool.result_size", "bytes"),
            unit="bytes",
            tags=["tool"],
            description="Sizes of results.",
        ),
    ]


def _grpc() -> list[Metric]:
    return [
        distribution(
            "shmtel.grpc.call.duration",
            ["grpc.call.stop", "grpc.call.exception"],
            *("duration",),
            unit="ns->s",
            tags=_CALL,
            description="gRPC calls that have ended.",
        ),
        distribution(
            *("shmtel.grpc.stream.duration", "grpc.stream.closed", "duration"),
            unit="ns->s",
            tags=["method", "side", "status"],
            description="gRPC streams that were closed.",
        ),
        counter(
            *("shmtel.grpc.connections.established", "grpc.connection.established"),
            tags=["target"],
            description="gRPC connections that were established.",
        ),
        counter(
            *("shmtel.grpc.connections.lost", "grpc.connection.lost"),
            tags=["target", "reason"],
            description="gRPC connections that were lost.",
        ),
        distribution(
            *("shmtel.grpc.reconnect.downtime", "grpc.connection.reconnected"),
            *("downtime",),
            unit="ns->s",
            tags=["target"],
            description="How long gRPC connections were away that came back.",
        ),
    ]


def _pools() -> list[Metric]:
    gauges = {
        "workers": "Workers that the pool has.",
        "ready": "Of them, those that are ready.",
        "available_workers": "Of them, those that wait for work.",
        "busy_workers": "Of them, those that are at work.",
        "queue_depth": "What waits for a worker of the pool.",
    }
    return [
        *(
            last_value(
                *(f"shmtel.pool.{key}", "pool.status", key),
                tags=_PLACE,
                expiry_s=_PERIODIC_S,
                description=text,
            )
            for key, text in gauges.items()
        ),
        last_value(
            *("shmtel.pool.unread", "pool.status", "unread_bytes"),
            unit="bytes",
            tags=_PLACE,
            expiry_s=_PERIODIC_S,
            description="In the rings of the pool, and not read yet.",
        ),
    ]


def _queues_and_sessions() -> list[Metric]:
    queue = {**_POOL, "queue": "queue"}
    return [
        distribution(
            *("shmtel.pool.queue.wait", "pool.queue.dequeued", "wait"),
            unit="ns->s",
            tags=queue,
            description="How long was waited in a queue.",
        ),
        counter(
            *("shmtel.pool.queue.timeouts", "pool.queue.timeout"),
            tags=queue,
            description="What was given up in a queue.",
        ),
        counter(
            *("shmtel.sessions.created", "session.created"),
            description="Sessions that were created.",
        ),
        distribution(
            *("shmtel.session.duration", "session.destroyed", "duration"),
            unit="ns->s",
            buckets=(1, 10, 60, 300, 900, 3_600, 14_400, 86_400),
            description="How long sessions lasted that have ended.",
        ),
        counter(
            *("shmtel.session.affinity.broken", "session.affinity.broken"),
            tags=["reason"],
            description="Sessions that had to change their worker.",
        ),
    ]


def _workers() -> list[Metric]:
    by_reason = {**_POOL, "reason": "reason"}
    return [
        counter(
            *("shmtel.workers.spawned", "pool.worker.spawned"),
            tags=_POOL,
            description="Workers that have made a ring.",
        ),
        distribution(
            *("shmtel.worker.start_up", "pool.worker.ready", "start_up"),
            unit="ns->s",
            tags=_POOL,
            description="From the start of a worker's process to its first event.",
        ),
        counter(
            *("shmtel.workers.spawn_failures", "pool.worker.spawn_failed"),
            tags=by_reason,
            description="Workers that could not be started.",
        ),
        counter(
            *("shmtel.workers.terminated", "pool.worker.terminated"),
            tags=by_reason,
            description="Workers that have ended, by reason.",
        ),
        counter(
            *("shmtel.workers.restarted", "pool.worker.restarted"),
            tags=by_reason,
            description="Workers that have taken the place of another.",
        ),
    ]


def _processes() -> list[Metric]:
    memory, cpu = "python.memory.sampled", "python.cpu.sampled"
    gauges = [
        ("memory.rss", memory, "rss", "bytes", "Memory of a worker that is resident."),
        ("memory.uss", memory, "uss", "bytes", "Memory of a worker, not shared."),
        ("cpu", cpu, "percent", "percent->ratio", "Cores that a worker keeps busy."),
        ("threads", cpu, "threads", "", "Threads of a worker."),
        ("descriptors", cpu, "descriptors", "", "Open descriptors of a worker."),
    ]
    return [
        last_value(
            *(f"shmtel.worker.{name}", event, key),
            unit=unit,
            tags=_WORKER,
            expiry_s=_PERIODIC_S,
            description=text,
        )
        for name, event, key, unit, text in gauges
    ]


def _interpreters() -> list[Metric]:
    return [
        distribution(
            *("shmtel.python.gc.duration", "python.gc.completed", "duration"),
            unit="ns->s",
            tags=["generation"],
            description="Garbage collections.",
        ),
        sum(
            *("shmtel.python.gc.uncollectable", "python.gc.completed"),
            *("uncollectable",),
            description="Objects that no garbage collection could free.",
        ),
        counter(
            *("shmtel.python.errors", "python.error.occurred"),
            tags=["source", "error_type"],
            description="Errors that nobody has caught.",
        ),
    ]
