"""A Celery application that is instrumented, over Redis or a broker of files.

Run as a program it is its client, which sends tasks of a kind.
"""

import os
import sys
import time
from pathlib import Path

from celery import Celery

import shmtel
from shmtel.contrib.celery import instrument

DIRECTORY = Path(os.environ["TOLD_DIRECTORY"])
REDIS = os.environ["TOLD_REDIS"]
FILES = {
    "data_folder_in": str(DIRECTORY / "queue"),
    "data_folder_out": str(DIRECTORY / "queue"),
    "control_folder": str(DIRECTORY / "control"),
    "polling_interval": 0.05,
}

app = Celery("told", broker=REDIS or "filesystem://")
app.conf.update(
    result_backend=REDIS or f"file://{DIRECTORY / 'results'}",
    broker_transport_options={} if REDIS else FILES,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=4,
    worker_lost_wait=0.2,  # seconds until a process that has died is believed dead
)
instrument(app, status_period_s=0.2)


@app.task(name="told.work")  # type: ignore[untyped-decorator]
def work(number: int) -> int:
    """Do a task, with an event of its own, and give the next one on."""
    shmtel.emit("worked", {"number": number})
    if number == 0:
        work.delay(100)
    return number


@app.task(name="told.fail")  # type: ignore[untyped-decorator]
def fail() -> None:
    """Raise."""
    raise LookupError("no such order")


@app.task(name="told.hold", track_started=True)  # type: ignore[untyped-decorator]
def hold() -> None:
    """Keep a process busy until there is a file."""
    while not (DIRECTORY / "release").exists():
        time.sleep(0.02)


@app.task(name="told.die")  # type: ignore[untyped-decorator]
def die() -> None:
    """End the process as the kernel does that is short of memory."""
    os.kill(os.getpid(), 9)


@app.task(name="told.overrun", time_limit=0.5)  # type: ignore[untyped-decorator]
def overrun() -> None:
    """Take more time than there is."""
    time.sleep(60)


def send_tasks() -> None:
    """Send one of a trace, which sends another, and one that fails."""
    with shmtel.correlation(os.environ["TOLD_TRACE"]), shmtel.span("sent"):
        work.delay(0)
    fail.delay()


def send_many() -> None:
    """Send four, of which two fill the pool and one expires meanwhile."""
    for task in (hold.s(), hold.s(), work.s(2)):
        task.delay()
        time.sleep(0.01)  # files are taken by their age, in milliseconds
    work.apply_async((3,), expires=float(os.environ["TOLD_EXPIRES_S"]))


def terminate() -> None:
    """Send one, and kill it when it runs."""
    sent = hold.apply_async(task_id="to-terminate")
    while sent.state != "STARTED":
        time.sleep(0.02)
    sent.revoke(terminate=True)


KINDS = {
    "tasks": send_tasks,
    "more than there are processes": send_many,
    "one that dies": die.delay,
    "one that overruns": overrun.delay,
    "one that is terminated": terminate,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
