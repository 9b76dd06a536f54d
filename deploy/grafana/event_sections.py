"""Sections about what events say, as the default metrics of the hub count it."""

from ledger_sections import FATES
from panels import (
    PLACE,
    POOL,
    TOP,
    Panel,
    Query,
    Section,
    largest,
    largest_rates,
    quantiles,
    rate,
    value,
)

EVENTS = Section(
    "Events",
    [
        Panel(
            *("Events, by name", "eps", largest_rates("shmtel_events_total", "event")),
            f"Delivered events of the whole fleet; the {TOP} names that come most. "
            "Too many: `shmtel ctl sampling 0.1 'name.*'` keeps a tenth.",
            width=12,
        ),
        FATES,
        Panel(
            *("Errors that nobody caught", "eps"),
            largest_rates("shmtel_python_errors_total", "source, error_type"),
            "Errors that ended a main program, a thread or a task. `shmtel tail "
            "python.error.occurred` shows where they come from.",
        ),
        Panel(
            *("Calls that raised", "eps"),
            largest_rates("shmtel_python_call_exceptions_total", "command, error_type"),
            "By command and type; `shmtel tail python.call.exception` has the texts.",
        ),
        Panel(
            *("Tools that raised", "eps"),
            largest_rates(
                "shmtel_tool_execution_exceptions_total", "tool, operation, error_type"
            ),
            "By tool, operation and type; `shmtel tail tool.execution.exception` has "
            "the texts.",
        ),
    ],
)

WORK = Section(
    "Calls and tools",
    [
        Panel(
            *("Calls", "cps"),
            largest_rates("shmtel_python_call_duration_seconds_count", "command"),
            "Calls that have ended, by command, also those that raised.",
        ),
        Panel(
            *("Duration of calls", "s"),
            quantiles("shmtel_python_call_duration_seconds", "command"),
            "Estimated from buckets: a value is at most as exact as they are narrow.",
        ),
        Panel(
            *("Bytes in tools", "Bps"),
            [
                *largest_rates("shmtel_tool_execution_size_bytes_total", "tool"),
                rate(
                    "shmtel_tool_result_size_bytes_sum", "tool", "", "{{tool}} results"
                ),
            ],
            "What executions have handled, and what their results were large.",
        ),
        Panel(
            *("Executions of tools", "cps"),
            largest_rates(
                "shmtel_tool_execution_duration_seconds_count", "tool, operation"
            ),
            "Executions that have ended, also those that raised.",
        ),
        Panel(
            *("Duration of executions", "s"),
            quantiles("shmtel_tool_execution_duration_seconds", "tool, operation"),
            "Estimated from buckets: a value is at most as exact as they are narrow.",
        ),
        Panel(
            *("Size of a result", "bytes"),
            [
                Query(
                    "sum by (tool) "
                    "(rate(shmtel_tool_result_size_bytes_sum[$__rate_interval])) / "
                    "sum by (tool) "
                    "(rate(shmtel_tool_result_size_bytes_count[$__rate_interval]))",
                    "{{tool}}",
                )
            ],
            "The mean, by tool.",
        ),
    ],
)

GRPC = Section(
    "gRPC",
    [
        Panel(
            *("Calls of gRPC", "cps"),
            largest_rates(
                "shmtel_grpc_call_duration_seconds_count", "method, side, status"
            ),
            "By status: what is not OK has failed.",
        ),
        Panel(
            *("Duration of calls of gRPC", "s"),
            quantiles("shmtel_grpc_call_duration_seconds", "method, side"),
            "A client's minus its server's is the network and the queue of the server.",
        ),
        Panel(
            *("Duration of streams", "s"),
            quantiles("shmtel_grpc_stream_duration_seconds", "method, side"),
            "Of those that were closed.",
        ),
        Panel(
            *("Streams that were closed", "cps"),
            largest_rates(
                "shmtel_grpc_stream_duration_seconds_count", "method, side, status"
            ),
            "By status: what is not OK was broken off.",
        ),
        Panel(
            *("Connections", "cps"),
            [
                rate(
                    *("shmtel_grpc_connections_established_total", "target", ""),
                    "{{target}} established",
                ),
                rate(
                    *("shmtel_grpc_connections_lost_total", "target, reason", ""),
                    "{{target}} lost: {{reason}}",
                ),
            ],
            "Connections that come and go: look at the target, or at what is between.",
        ),
        Panel(
            *("Time without a connection", "s"),
            quantiles("shmtel_grpc_reconnect_downtime_seconds", "target"),
            "How long those were away that came back.",
        ),
    ],
    is_closed=True,
)

POOLS = Section(
    "Pools, queues and sessions",
    [
        Panel(
            *("Workers of a pool", "short"),
            [
                value(f"shmtel_pool_{key}", "pool", PLACE, f"{{{{pool}}}} {word}")
                for key, word in (
                    ("workers", "workers"),
                    ("ready", "ready"),
                    ("available_workers", "available"),
                    ("busy_workers", "busy"),
                )
            ],
            "All busy for long: more workers, or less work.",
        ),
        Panel(
            *("Queue depth", "short"),
            [value("shmtel_pool_queue_depth", "node, pool", PLACE)],
            "What waits for a worker. What grows is not worked off.",
        ),
        Panel(
            *("Wait in queues", "s"),
            quantiles("shmtel_pool_queue_wait_seconds", "pool, queue", POOL),
            "How long was waited for a worker.",
        ),
        Panel(
            *("Given up in queues", "cps"),
            largest_rates("shmtel_pool_queue_timeouts_total", "pool, queue", POOL),
            "Requests that no worker took in time.",
        ),
        Panel(
            *("Workers that came and went", "cps"),
            [
                rate(
                    f"shmtel_workers_{word}_total",
                    f"pool{by}",
                    POOL,
                    f"{{{{pool}}}} {word}{legend}",
                )
                for word, by, legend in (
                    ("spawned", "", ""),
                    ("terminated", ", reason", ": {{reason}}"),
                    ("restarted", ", reason", ": {{reason}}"),
                    ("spawn_failures", ", reason", ": {{reason}}"),
                )
            ],
            "vanished is a worker that was killed or has crashed: `shmtel crash` shows "
            "its last events and open spans.",
        ),
        Panel(
            *("Start of a worker", "s"),
            quantiles("shmtel_worker_start_up_seconds", "pool", POOL),
            "From the start of its process to its first event.",
        ),
        Panel(
            *("Unread in rings", "bytes"),
            [value("shmtel_pool_unread_bytes", "node, pool", PLACE)],
            "Events of the pool that no collector has read yet.",
        ),
        Panel(
            *("Sessions", "cps"),
            [
                rate("shmtel_sessions_created_total", "", "", "created"),
                rate(
                    *("shmtel_session_affinity_broken_total", "reason", ""),
                    "had to change their worker: {{reason}}",
                ),
            ],
            "A session that changes its worker loses what that one had in memory.",
        ),
        Panel(
            *("Duration of sessions", "s"),
            quantiles("shmtel_session_duration_seconds", ""),
            "Of those that have ended.",
        ),
    ],
    is_closed=True,
)

WORKERS = Section(
    "Worker processes",
    [
        Panel(
            *("Memory, resident", "bytes"),
            largest("shmtel_worker_memory_rss_bytes", "node, pool, worker", PLACE),
            f"The {TOP} largest. What grows for hours leaks: recycle such workers.",
        ),
        Panel(
            *("Memory, unshared", "bytes"),
            largest("shmtel_worker_memory_uss_bytes", "node, pool, worker", PLACE),
            "What would be free if the worker ended.",
        ),
        Panel(
            *("CPU of workers", "percentunit"),
            largest("shmtel_worker_cpu_ratio", "node, pool, worker", PLACE),
            "Of one core.",
        ),
        Panel(
            *("Threads", "short"),
            largest("shmtel_worker_threads", "node, pool, worker", PLACE),
            "What grows is started and not ended.",
        ),
        Panel(
            *("Descriptors", "short"),
            largest("shmtel_worker_descriptors", "node, pool, worker", PLACE),
            "What grows is opened and not closed.",
        ),
        Panel(
            *("Garbage collections", "s"),
            [
                *quantiles("shmtel_python_gc_duration_seconds", "generation"),
                rate(
                    *("shmtel_python_gc_duration_seconds_sum", "", ""),
                    "seconds per second, of all workers",
                ),
            ],
            "Long ones of generation 2: fewer objects that stay, or gc.freeze() after "
            "the start. Told with SHMTEL_INSTRUMENT=gc.",
        ),
        Panel(
            *("Uncollectable objects", "cps"),
            [rate("shmtel_python_gc_uncollectable_total", "", "", "objects")],
            "Not 0 is a leak in an extension module.",
        ),
    ],
    is_closed=True,
)
