"""Celery's tasks that are sent and run in one process."""

from support.processes import run_python
from support.program import fresh_namespace

APPLICATION = """
import shmtel
from celery import Celery
from celery.exceptions import Ignore, Retry
from shmtel.contrib.celery import instrument
from shmtel.testing import capture

app = Celery("shop", broker="memory://")
instrument(app)

@app.task(name="work", bind=True)
def work(self, kind):
    if kind == "ignore":
        raise Ignore()
    if kind == "retry":
        raise Retry()
    if kind == "exit":
        raise SystemExit(3)
    shmtel.emit("worked", {})
"""


def run(code: str, **variables: str) -> list[str]:
    """Run a program with the application, with telemetry on."""
    with fresh_namespace() as namespace:
        return run_python(APPLICATION + code, namespace, **variables).stdout.split("\n")


def test_message_carries_the_ids_in_force() -> None:
    """And none where there are none; what the user sends stays."""
    code = """
from celery.signals import before_task_publish
@before_task_publish.connect
def note(headers, **_):
    print(headers.get("x-correlation-id"), headers.get("mine"),
          (headers.get("traceparent") or "")[:2])
work.apply_async(("a",), headers={"mine": 1})
with shmtel.correlation("order-7"):
    work.delay("a")
"""
    assert run(code)[:2] == ["None 1 ", "order-7 None 00"]


def test_retry_has_not_waited_since_its_task_did() -> None:
    """What a worker noted of the task that is sent again stays behind."""
    code = """
from celery.signals import before_task_publish
@before_task_publish.connect
def note(headers, **_):
    print("shmtel_due_ns" in headers, headers.get("mine"))
work.push_request(id="1", task="work", mine=1, shmtel_due_ns=5, called_directly=False)
try:
    work.retry(("a",))
except Retry:
    pass
"""
    assert run(code)[0] == "False 1"


def test_eager_task_is_a_call_of_its_caller_s() -> None:
    """It never was in a queue; its ID is the one in force, which stays in force."""
    code = """
with capture() as captured, shmtel.correlation("order-7"):
    work.apply(("a",))
    print(shmtel.get_correlation_id(), shmtel.current_span())
print(captured.names(), {event.correlation_id for event in captured.events})
with capture() as captured:
    done = work.apply(("a",))
    print(shmtel.get_correlation_id())
print({event.correlation_id for event in captured.events} == {done.id})
"""
    assert run(code)[:4] == [
        "order-7 None",
        "['python.call.start', 'worked', 'python.call.stop'] {'order-7'}",
        "None",
        "True",
    ]


def test_ends_that_are_no_failures() -> None:
    """A retry and an ignored task stop; what ends a process is an exception."""
    code = """
for kind in ("ignore", "retry", "exit"):
    with capture() as captured:
        try:
            work.apply((kind,))
        except SystemExit:
            pass
    ends = [(e.name, e.metadata.get("state"), e.metadata.get("outcome"))
            for e in captured.events if e.name != "python.call.start"]
    print(ends[-1])
"""
    assert run(code)[:3] == [
        "('python.call.stop', 'IGNORED', None)",
        "('python.call.stop', 'RETRY', None)",
        "('python.call.exception', None, 'exit')",
    ]


def test_off_changes_nothing() -> None:
    """Without telemetry no signal is connected and no step added."""
    code = """
from celery import signals
print(any(signals.task_prerun.receivers), app.steps["consumer"])
"""
    assert run(code, SHMTEL_ENABLED="")[0] == "False set()"


def test_process_that_is_its_own_pool_is_the_worker() -> None:
    """It keeps its pool's name, and tells the end of what ends it."""
    code = """
from celery import signals

class Controller:
    pool_cls = "solo"

signals.worker_init.send(sender=Controller)
signals.worker_process_init.send(sender=None)
print(shmtel.identity().pool_name)
with capture() as captured:
    try:
        work.apply(("exit",))
    except SystemExit:
        pass
print(captured.names())
"""
    assert run(code, SHMTEL_POOL_NAME="tasks")[:2] == [
        "tasks",
        "['python.call.start', 'python.call.exception']",
    ]
