"""Signals that arrive in the middle of an emit, whatever their handlers do."""

import pytest

from support.forks import FORKS
from support.processes import LeftRing, left_rings, run_python
from support.program import fresh_namespace


def _check_whole(ring: LeftRing) -> None:
    """Every event of the ring was read: none is torn, none is missing."""
    assert ring.reader.totals[0] == sum(ring.reader.totals) == len(ring.events)
    assert [event.seq for event in ring.events] == list(range(1, len(ring.events) + 1))
    assert ring.reader.consumer.counters()["committed"] == len(ring.events)


def _numbers(ring: LeftRing, prefix: str) -> list[int | float]:
    return [e.measurements["n"] for e in ring.events if e.name.startswith(prefix)]


# A timer that fires every 200 us while events of each kind are made: known names
# and new ones, plain arguments and others, spans.
TIMER = """
import fractions, signal, shmtel
handled = emitted = 0
emit = shmtel.emit
def handle(*_):
    global handled
    handled += 1
    number = handled  # while this one is handled, the next may come
    shmtel.emit("signal.%d" % (number % 100), {"n": number}, {"x": fractions})
PREPARE
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
while emitted < 3000 or handled < 200:
    shmtel.emit("main.%d" % (emitted % 300), {"n": emitted})
    shmtel.emit("plain", {"n": fractions.Fraction(emitted)}, {"x": {1, 2}, 5: emit})
    with shmtel.span("span.%d" % (emitted % 20), {"n": emitted}):
        emitted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
stats = shmtel.stats()
dropped = stats["dropped"]
assert stats["emitted"] == 4 * emitted + handled, (stats, emitted, handled)
assert stats["committed"] + dropped["reentrant"] == stats["emitted"], stats
"""


@pytest.mark.parametrize("is_ring_there", [True, False])
def test_handler_that_emits(is_ring_there: bool) -> None:
    """Whole records in order, and an exact account, whatever was interrupted."""
    prepare = "shmtel.emit('signal.first', {'n': 0}); handled = 0; emitted = 0"
    code = TIMER.replace("PREPARE", prepare if is_ring_there else "")
    if is_ring_there:
        code = code.replace("+ handled,", "+ handled + 1,")
        code += "assert sum(dropped.values()) == 0, dropped"
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="16MiB", SHMTEL_ALLOW="*")
        (ring,) = left_rings(namespace)
        _check_whole(ring)
        main, plain = _numbers(ring, "main."), _numbers(ring, "plain")
        assert main == list(range(len(main)))
        assert plain == main
        handled = _numbers(ring, "signal.")
        assert len(handled) == len(set(handled)) >= 200 - 10


# Where Python code runs inside an emit, and where a signal so has its handler run:
# what an application's own objects do, what settings are asked, what makes a ring.
PLACES = {
    "making plain": """
class Odd:
    def __str__(self):
        signal.raise_signal(signal.SIGUSR1)
        return "odd"
def act(): shmtel.emit("acted", {}, {"x": Odd()})
shmtel.emit("before", {})
""",
    "registering a name": """
def initial_word(name):
    if name == "acted":
        signal.raise_signal(signal.SIGUSR1)
    return 0
config.initial_words = lambda settings: initial_word
def act(): shmtel.emit("acted", {})
shmtel.emit("before", {})
""",
    "registering a span": """
def initial_word(name):
    if name == "acted.stop":
        signal.raise_signal(signal.SIGUSR1)
    return 0
config.initial_words = lambda settings: initial_word
def act():
    with shmtel.span("acted"): pass
shmtel.emit("before", {})
""",
    "making a ring": """
boot_id = resource.boot_id
def signalled():
    resource.boot_id = boot_id
    signal.raise_signal(signal.SIGUSR1)
    return boot_id()
resource.boot_id = signalled
def act(): shmtel.emit("acted", {})
""",
    "adopted": """
own_rings = _ring.own_rings
class Core:
    def __getattr__(self, name):
        if name == "own_rings":
            ring._ring = _ring
            signal.raise_signal(signal.SIGUSR1)
        return getattr(_ring, name)
ring._ring = Core()
def act(): shmtel.emit("acted", {})
""",
}
# More of what makes a ring, where errors of the system are expected and survived.
SURVIVING = """
from shmtel import segments, worker_index
def signal_in(owner, name):
    function = getattr(owner, name)
    def signalled(*arguments, **keywords):
        setattr(owner, name, function)
        signal.raise_signal(signal.SIGUSR1)
        return function(*arguments, **keywords)
    setattr(owner, name, signalled)
SIGNAL_IN
def act(): shmtel.emit("acted", {})
"""
# What this process evicts first: the ring of a child that has died.
DEAD = """
from shmtel import dead_rings
segments.Home.size_bytes = lambda home: 4
if os.fork() == 0:
    shmtel.emit("dead", {})
    os._exit(0)
os.wait()
"""
PLACES_THAT_SURVIVE = {
    "keeping the budget": "signal_in(segments.Home, 'size_bytes')",
    "listing rings": "signal_in(segments, '_segments_among')",
    "asking for the size": "signal_in(os, 'statvfs')",
    "claiming an index": "signal_in(worker_index, '_lock_lowest')",
    "looking at the index's file": "signal_in(os, 'lstat')",
    "asking a dead ring": DEAD + "signal_in(segments, '_open')",
    "locking a dead ring": DEAD + "signal_in(dead_rings, '_set_lock')",
    "judging the dead": DEAD + "signal_in(resource, 'pid_namespace')",
    "creating a segment": "signal_in(segments._PosixAccess, 'create')\n"
    "signal_in(segments._FileAccess, 'create')",
}
PLACES_OF_TIME_LIMITS = PLACES | {
    place: SURVIVING.replace("SIGNAL_IN", code)
    for place, code in PLACES_THAT_SURVIVE.items()
}
IMPORTS = """
import os, signal, shmtel
from shmtel import _ring, config, resource, ring
"""


# The handlers of an application come in every form, and raise as they like; a
# BaseException is nobody's but the program's wherever it is raised.
HANDLERS = {
    "function": "def handle(*_): raise Stop",
    "method": "class H:\n    def run(self, *_): raise Stop\nhandle = H().run",
    "object": "class H:\n    def __call__(self, *_): raise Stop\nhandle = H()",
    "partial": "import functools\ndef run(*_): raise Stop\n"
    "handle = functools.partial(run, 1)",
}
RAISING = [("BaseException", "function", place) for place in PLACES] + [
    ("TimeoutError", handler, place)
    for handler in HANDLERS
    for place in ("making plain", "making a ring", "adopted")
]
RAISING += [("TimeoutError", "function", place) for place in PLACES_THAT_SURVIVE]


@pytest.mark.parametrize(("kind", "handler", "place"), RAISING)
def test_handler_that_raises_out_of_an_emit(
    kind: str, handler: str, place: str
) -> None:
    """What is not telemetry's reaches the caller; the next emit is as ever."""
    code = f"""{IMPORTS}
class Stop({kind}): pass
{HANDLERS[handler]}
signal.signal(signal.SIGUSR1, handle)
{PLACES_OF_TIME_LIMITS[place]}
before = shmtel.stats()["emitted"]
try:
    act()
except Stop:
    pass
else:
    raise AssertionError("it was swallowed")
assert shmtel.stats()["emitted"] == before, "an event that nobody made"
assert shmtel.current_span() is None
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
act()
stats = shmtel.stats()
assert stats["committed"] == stats["emitted"] > before, stats
segments = [n for n in os.listdir("/proc/self/fd")
            if "/shmtel." in os.path.realpath("/proc/self/fd/" + n)]
assert len(segments) == 1, segments
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        _check_whole(ring)
        assert ring.events[-1].name.startswith("acted")


def test_causes_that_run_in_a_circle() -> None:
    """An error that is its own cause neither ends an emit nor keeps it."""
    code = """
import signal, shmtel
signal.signal(signal.SIGUSR1, lambda *_: None)
class Odd:
    def __str__(self):
        error = ValueError()
        raise error from error
shmtel.emit("e", {}, {"x": Odd()})
assert shmtel.stats()["committed"] == 1
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)


def test_errors_of_a_value_are_not_the_program_s() -> None:
    """What passes through the default of a signal on its way has no handler in it."""
    code = """
import enum, signal, shmtel
class Color(enum.Enum):
    RED = 1
class Odd:
    def __str__(self): return str(Color(5))
def handle(*_): pass
shmtel.emit("e", {}, {"x": Odd()})
signal.signal(signal.SIGUSR1, handle)
shmtel.emit("e", {}, {"x": Odd()})
handle()
assert shmtel.stats()["committed"] == 2
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        (ring,) = left_rings(namespace)
        assert [e.metadata for e in ring.events] == [{"x": "<unprintable Odd>"}] * 2


@pytest.mark.parametrize("kind", FORKS)
@pytest.mark.parametrize("place", PLACES)
def test_handler_that_forks(place: str, kind: str) -> None:
    """The child emits in a ring of its own, and so the parent goes on in its."""
    code = f"""{IMPORTS}
children = []
def handle(*_):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    pid = {FORKS[kind]}
    if pid:
        children.append(pid)
signal.signal(signal.SIGUSR1, handle)
{PLACES[place]}
act()
shmtel.emit("after", {{}})
if not children:
    shmtel.emit("child", {{}})
    os._exit(0)
assert os.waitpid(children[0], 0)[1] == 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        rings = left_rings(namespace)
        assert len(rings) == 2
        for ring in rings:
            _check_whole(ring)
        (child,) = (r for r in rings if r.events[-1].name == "child")
        (parent,) = (r for r in rings if r is not child)
        assert [e.name for e in parent.events][-1] == "after"
        assert sum(e.name.startswith("acted") for e in parent.events) >= 1
        assert child.identity["pid"] != parent.identity["pid"]
        assert child.events[-2].name == "after"


def test_child_that_never_comes_back_from_the_handler() -> None:
    """Forked while the ring was made, it makes one of its own where it is."""
    code = f"""{IMPORTS}
children = []
def handle(*_):
    if (pid := os.fork()) == 0:
        shmtel.emit("child", {{}})
        os._exit(shmtel.stats()["committed"] != 1)
    children.append(pid)
signal.signal(signal.SIGUSR1, handle)
{PLACES["making a ring"]}
act()
assert os.waitpid(children[0], 0)[1] == 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        names = [[e.name for e in ring.events] for ring in left_rings(namespace)]
        assert sorted(names) == [["acted"], ["child"]]


@pytest.mark.parametrize("place", PLACES)
def test_stacks_dumped_from_inside_an_emit(place: str) -> None:
    """faulthandler, which prints from the signal itself, leaves the emit as it was."""
    code = f"""{IMPORTS}
import faulthandler
faulthandler.register(signal.SIGUSR1, all_threads=True)
{PLACES[place]}
act()
stats = shmtel.stats()
assert stats["emitted"] == stats["committed"], stats
"""
    with fresh_namespace() as namespace:
        done = run_python(code, namespace)
        assert "in act" in done.stderr
        (ring,) = left_rings(namespace)
        _check_whole(ring)
        assert ring.events[-1].name.startswith("acted")


def test_alarms_while_rings_are_made() -> None:
    """A thousand alarms a second, and child after child makes its ring."""
    code = f"""{IMPORTS}
alarms = 0
def handle(*_):
    global alarms
    alarms += 1
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for number in range(30):
    if (pid := os.fork()) == 0:
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        for index in range(20):
            shmtel.emit("child", {{"n": index}})
        stats = shmtel.stats()
        os._exit(stats["committed"] != 20)
    assert os.waitpid(pid, 0)[1] == 0
signal.setitimer(signal.ITIMER_REAL, 0)
assert alarms > 0
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        rings = left_rings(namespace)
        assert len(rings) == 30
        for ring in rings:
            _check_whole(ring)
            assert _numbers(ring, "child") == list(range(20))


def test_garbage_collection_that_spans() -> None:
    """Spans and events of the collector's call-back, at every allocation."""
    code = """
import gc, shmtel
spans = []
def call_back(phase, info):
    if phase == "start":
        spans.append(shmtel.span("gc.run", {"generation": info["generation"]}))
        spans[-1].__enter__()
        shmtel.emit("gc.inside", {"n": 1})
    else:
        spans.pop().__exit__(None, None, None)
gc.callbacks.append(call_back)
gc.set_threshold(1)
for index in range(300):
    with shmtel.span("main", {"index": index, "x": object()}):
        shmtel.emit("main.inside", {"n": index, "big": 2**70}, {"x": [object()]})
gc.disable()
gc.callbacks.clear()
assert shmtel.current_span() is None
stats = shmtel.stats()
reentrant = stats["dropped"]["reentrant"]
assert stats["emitted"] == stats["committed"] + reentrant, stats
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace, SHMTEL_RING_SIZE="16MiB")
        (ring,) = left_rings(namespace)
        _check_whole(ring)
        assert _numbers(ring, "main.inside") == list(range(300))
        starts = {e.span_id: e for e in ring.events if e.name == "main.start"}
        inside = [e for e in ring.events if e.name == "main.inside"]
        assert [e.parent_id for e in inside] == list(starts)
        assert any(event.name == "gc.run.stop" for event in ring.events)
