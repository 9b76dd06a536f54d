"""One interpreter of a process emits; in the others telemetry is off, and harmless."""

import pytest

from shmtel import _ring, null_core
from support.home import HOME
from support.interpreters import KINDS, PRELUDE
from support.processes import left_rings, run_python
from support.program import fresh_namespace

# All that an application calls, in an interpreter where none of it may record.
USE = """
import shmtel
shmtel.emit("e", {"n": 1}, {"k": "v"}, "c")
shmtel.emit()
with shmtel.span("s", {"k": "v"}) as span:
    span.set("rows", 5)
    assert shmtel.current_span() is None
@shmtel.span("f")
def function(number):
    return number + 1
assert function(1) == 2
shmtel.span()
with shmtel.correlation("order-1") as correlation_id:
    assert shmtel.get_correlation_id() == correlation_id == "order-1"
assert shmtel.get_correlation_id() is None
shmtel.disable()
shmtel.enable()
assert not shmtel.is_enabled()
stats = shmtel.stats()
assert (stats["emitted"], stats["disabled"], stats["ring_id"]) == (4, 4, None), stats
assert sum(stats["dropped"].values()) == 0
assert shmtel.identity().worker_index is None
"""


@pytest.mark.parametrize("kind", KINDS)
def test_subinterpreter_is_told_once_and_records_nothing(kind: str) -> None:
    """The package imports, every call returns, and one warning names the cure."""
    code = f"{PRELUDE}\nrun_in_new({kind!r}, {USE!r})"
    with fresh_namespace() as namespace:
        done = run_python(code, namespace)
        assert done.stderr.count("main interpreter of a process only") == 1
        assert "WSGIApplicationGroup" in done.stderr
        assert HOME.scan(namespace) == []


@pytest.mark.parametrize("kind", KINDS)
def test_main_interpreter_goes_on(kind: str) -> None:
    """Others import, emit and end beside the main one, whose ring misses nothing."""
    code = f"""{PRELUDE}
import shmtel
other = make({kind!r})
for index in range(50):
    shmtel.emit("main.%d" % index, {{"index": index}})
    run_in(other, {'import shmtel; shmtel.emit("other", {})'!r})
interpreters.destroy(other)
for index in range(5):
    run_in_new({kind!r}, {'import shmtel; shmtel.emit("other", {})'!r})
with shmtel.span("main.span"):
    shmtel.emit("main.50", {{"index": 50, "big": 2**70}})
assert shmtel.stats()["emitted"] == shmtel.stats()["committed"] == 53
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        assert [event.seq for event in ring.events] == list(range(1, 54))
        indices = [
            event.measurements["index"]
            for event in ring.events
            if event.name.startswith("main.") and "index" in event.measurements
        ]
        assert indices == list(range(51))


@pytest.mark.parametrize("kind", KINDS)
def test_main_interpreter_may_come_second(kind: str) -> None:
    """A refusal in another interpreter leaves nothing behind in the process."""
    code = f"""{PRELUDE}
run_in_new({kind!r}, {'import shmtel; shmtel.emit("other", {})'!r})
import shmtel
shmtel.emit("main", {{}})
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        assert [event.name for event in ring.events] == ["main"]


@pytest.mark.parametrize("kind", KINDS)
def test_core_itself_refuses_another_interpreter(kind: str) -> None:
    """Who goes round the package gets an ImportError, and no second producer."""
    code = f"""{PRELUDE}
import shmtel
from shmtel import _ring
path = _ring.__file__
run_in_new({kind!r}, '''
import importlib.util
from importlib.machinery import ExtensionFileLoader
loader = ExtensionFileLoader("shmtel._ring", PATH)
spec = importlib.util.spec_from_loader("shmtel._ring", loader)
try:
    loader.exec_module(importlib.util.module_from_spec(spec))
except ImportError as error:
    assert "interpreter" in str(error), error
else:
    raise AssertionError("it was loaded")
'''.replace("PATH", repr(path)))
shmtel.emit("main", {{}})
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        assert [event.name for event in ring.events] == ["main"]


@pytest.mark.parametrize("kind", KINDS)
def test_child_of_a_subinterpreter_is_harmless(kind: str) -> None:
    """A fork from another interpreter costs the main one neither ring nor event."""
    fork = """
import os
if (pid := os.fork()) == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
    code = f"""{PRELUDE}
import shmtel
shmtel.emit("before", {{}})
other = make({kind!r})
try:
    run_in(other, {fork!r})
except Exception as error:  # 3.11 and 3.12 raise what failed, 3.13 returns it
    assert "fork" in str(error), error
except AssertionError as error:
    assert "fork" in str(error), error
shmtel.emit("after", {{}})
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        assert [event.name for event in ring.events] == ["before", "after"]


def test_off_without_a_word() -> None:
    """Where telemetry is not switched on, another interpreter hears nothing."""
    code = f"{PRELUDE}\nrun_in_new({KINDS[-1]!r}, 'import shmtel')"
    with fresh_namespace() as namespace:
        assert run_python(code, namespace, SHMTEL_ENABLED="").stderr == ""


def test_warnings_as_errors_do_not_break_a_subinterpreter() -> None:
    """A program that raises its warnings gets a line on stderr, and runs on."""
    code = f"{PRELUDE}\nrun_in_new({KINDS[-1]!r}, {USE!r})"
    with fresh_namespace() as namespace:
        done = run_python(code, namespace, PYTHONWARNINGS="error")
        assert done.stderr.startswith("ShmtelWarning: telemetry is off")


def test_free_threaded_build_is_told_so() -> None:
    """There the core is not even loaded, since that would switch on the GIL."""
    code = f"""
import sys
sys.abiflags = "t"
{USE}
assert "_ring" not in str(sys.modules["shmtel._ring"])
with shmtel.correlation("order-1"):
    assert shmtel.outgoing_metadata()
try:
    from shmtel._ring import Consumer
except ImportError:
    pass
else:
    raise AssertionError("there is no collector here")
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace)
        assert done.stderr.count("free-threaded build") == 1


def test_broken_core_is_not_mistaken_for_a_refused_one() -> None:
    """In the main interpreter of an ordinary build an ImportError goes through."""
    code = """
import sys
sys.modules["shmtel._ring"] = None
try:
    import shmtel
except ImportError:
    sys.exit(0)
sys.exit("it was taken for refused")
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_stand_in_has_what_a_worker_uses() -> None:
    """Every name of the worker's side is there, and every constant is the same."""
    consumers = {"Consumer", "Drained", "Follower", "Taken", "lock_holder", "observe"}
    consumers |= {"Shape", "RecordDecoder"}
    tables = {"LAYOUT", "OUTCOMES", "STATUSES", "DROP_REASONS", "RingError"}
    tables.add("RING_RECORD_MIN")
    of_events = {"adopt", "RingLocked", "is_in_memory"}
    missing = {
        name
        for name in dir(_ring)
        if not name.startswith(("_", "EVENT_", "MODE_"))
        and not hasattr(null_core, name)
    }
    assert missing == consumers | tables | of_events
    for name in ("WORD_UNSET", "WORD_KEEP_NONE", "WORD_DENIED", "THRESHOLD_MAX"):
        assert getattr(null_core, name) == getattr(_ring, name)
    assert null_core.stats().keys() == _ring.stats().keys()
    assert null_core.stats()["dropped"].keys() == _ring.DROP_REASONS.keys()
