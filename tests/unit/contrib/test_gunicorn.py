"""What `instrument` makes of a configuration file of gunicorn's."""

from support.processes import run_python
from support.program import fresh_namespace

LOAD = """
import shmtel
from gunicorn.config import Config
from shmtel.contrib.gunicorn import instrument

called = []
def post_request(worker, req):
    called.append((worker, req))
settings = {"post_request": post_request, "workers": 3}
instrument(settings)
cfg = Config()
for name, value in settings.items():
    cfg.set(name, value)
"""


def run(code: str, **variables: str) -> str:
    """Run a program that has loaded a file, with telemetry on."""
    with fresh_namespace() as namespace:
        return run_python(LOAD + code, namespace, **variables).stdout


def test_off_changes_nothing() -> None:
    """A configuration file without telemetry is what it was."""
    assert (
        run(
            "print(settings == {'post_request': post_request, 'workers': 3})",
            SHMTEL_ENABLED="",
        )
        == "True\n"
    )


def test_hooks_of_the_file_are_called_as_gunicorn_would() -> None:
    """Also one of fewer parameters than gunicorn has."""
    assert run("cfg.post_request(1, 2, 3, 4); print(called)") == "[(1, 2)]\n"


def test_loaded_twice_it_is_there_once() -> None:
    """A file that calls it twice, or runs again at a reload, has one chain."""
    code = """
before = dict(settings)
instrument(settings)
print(settings == before)
"""
    assert run(code) == "True\n"


def test_hook_that_gunicorn_refuses_is_left_to_gunicorn() -> None:
    """The message about it is gunicorn's own."""
    code = """
wrong = {"pre_fork": lambda server: None}
instrument(wrong)
try:
    Config().set("pre_fork", wrong["pre_fork"])
except TypeError as error:
    print(error)
"""
    assert run(code) == "Value must have an arity of: 2\n"


def test_what_goes_wrong_in_ours_is_warned_of_and_theirs_are_called() -> None:
    """A server of another shape than we know serves on."""
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        cfg.when_ready(object())
        cfg.post_request(object(), None, None, None)
print(len(called), len(caught), "docs/guides/gunicorn.md" in str(caught[0].message))
"""
    assert run(code) == "2 1 True\n"


def test_workers_that_tell_nothing_of_requests_are_not_counted() -> None:
    """A worker of another make, or one that leaves it to a server, is never busy."""
    code = """
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker
from shmtel.contrib.gunicorn import _requests_at_once

class Foreign(Worker): pass
class Own(ThreadWorker): pass
class Served(ThreadWorker): server_class = object

cfg.set("threads", 3)
print([_requests_at_once(kind, cfg) for kind in (SyncWorker, Own, Foreign, Served)])
"""
    assert run(code) == "[1, 3, None, None]\n"
