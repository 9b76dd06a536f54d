"""The end of the interpreter: what is emitted on the way out, by whomever."""

import subprocess
import sys

import pytest

from support.processes import LeftRing, environment, left_rings
from support.program import fresh_namespace


def _run_to_its_end(code: str, namespace: str) -> LeftRing | None:
    """Run a program, which must succeed and say nothing; return its ring, if any."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env=environment(namespace),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rings = left_rings(namespace)
    if not rings:
        return None
    (ring,) = rings
    counters = ring.reader.consumer.counters()
    assert ring.reader.totals[0] == sum(ring.reader.totals) == len(ring.events)
    assert [event.seq for event in ring.events] == list(range(1, len(ring.events) + 1))
    assert counters["committed"] == len(ring.events)
    assert counters["closed"]
    return ring


def _names(ring: LeftRing | None) -> list[str]:
    assert ring is not None
    return [event.name for event in ring.events]


# What is emitted in the end: an event, a span, a name that is new, arguments that
# are to be made plain, and a span that ends badly.
LAST_WORDS = """
import shmtel
class Odd:
    def __str__(self): return "odd"
def last_words(who):
    shmtel.emit("last", {}, {"who": who})
    shmtel.emit("last." + who, {}, {"x": Odd()})
    with shmtel.span("span." + who, {"x": Odd()}):
        shmtel.emit("last", {}, {"who": who})
    try:
        with shmtel.span("bad"): raise ValueError("bad")
    except ValueError:
        pass
"""
SPOKEN = 7  # events of last_words


def test_emits_of_atexit() -> None:
    """Handlers registered before and after the ring was made emit into it."""
    code = f"""{LAST_WORDS}
import atexit
atexit.register(last_words, "before")
shmtel.emit("first", {{}})
atexit.register(last_words, "after")
"""
    with fresh_namespace() as namespace:
        names = _names(_run_to_its_end(code, namespace))
        assert names.count("last.before") == names.count("last.after") == 1
        assert len(names) == 1 + 2 * SPOKEN


def test_first_emit_of_a_process_in_atexit() -> None:
    """A ring that is made in the end is closed as any other."""
    code = f"""{LAST_WORDS}
import atexit
atexit.register(last_words, "only")
"""
    with fresh_namespace() as namespace:
        assert len(_names(_run_to_its_end(code, namespace))) == SPOKEN


def test_emits_of_threading_s_own_exit_handlers() -> None:
    """They run when the main thread is done, before those of atexit."""
    code = f"""{LAST_WORDS}
import threading
threading._register_atexit(last_words, "threading")
shmtel.emit("first", {{}})
"""
    with fresh_namespace() as namespace:
        assert len(_names(_run_to_its_end(code, namespace))) == 1 + SPOKEN


# Finalizers run when modules have been emptied, and imports have ended.
FINALIZER = """
import shmtel
PREPARE
class Odd:
    def __str__(self): return "odd"
class Last:
    def __init__(self, who):
        self.who = who
        # Names of the module may be gone by then.
        self.emit, self.span, self.stats = shmtel.emit, shmtel.span, shmtel.stats
        self.odd = Odd()
    def __del__(self):
        before = self.stats()["emitted"]
        self.emit("last", {"n": 1}, {"who": self.who})
        self.emit("last." + self.who, {"n": 1})
        self.emit("odd", {"n": 1}, {"x": self.odd})
        with self.span("span." + self.who):
            self.emit("last", {"n": 1}, {"who": self.who})
        try:
            with self.span("bad"): raise ValueError("bad")
        except ValueError:
            pass
        stats = self.stats()
        assert stats["emitted"] - before == 8, stats
        assert stats["emitted"] == stats["committed"] + sum(stats["dropped"].values())
"""
OBJECTS = {
    "a module's": "last = Last('module')",
    "in a cycle": "last = Last('cycle'); last.itself = last; del last",
    "of a builtin": "import sys; sys.last_words = Last('sys')",
    "in a thread's dict": "import threading; threading.local().x = Last('thread')",
}


@pytest.mark.parametrize("where", OBJECTS)
@pytest.mark.parametrize("is_ring_there", [True, False], ids=["ring", "no ring"])
def test_emits_of_finalizers(where: str, is_ring_there: bool) -> None:
    """Every event is recorded, or dropped and counted where it can not be."""
    prepare = "shmtel.emit('first', {})" if is_ring_there else ""
    code = FINALIZER.replace("PREPARE", prepare) + OBJECTS[where]
    with fresh_namespace() as namespace:
        ring = _run_to_its_end(code, namespace)
        if ring is None:
            assert not is_ring_there
            return
        assert _names(ring).count("last") == 2
        dropped = ring.reader.consumer.counters()["dropped"]
        assert len(ring.events) + dropped["invalid"] == 8 + is_ring_there
        # The last of all to go finds nothing that makes arguments plain.
        assert sum(dropped.values()) <= (where == "of a builtin")


@pytest.mark.parametrize("is_ring_there", [True, False], ids=["ring", "no ring"])
def test_daemon_threads_that_emit_to_the_last(is_ring_there: bool) -> None:
    """They are stopped wherever they are; what had returned is in the ring."""
    code = """
import threading, shmtel
PREPARE
class Odd:
    def __str__(self): return "odd"
started = threading.Barrier(5)
def work(thread):
    index = 0
    while True:
        if index == STARTED_AT: started.wait()
        shmtel.emit("common", {"thread": thread, "n": index}, {"x": Odd()})
        with shmtel.span("span.%d" % (index % 100)): pass
        index += 1
for number in range(4):
    threading.Thread(target=work, args=(number,), daemon=True).start()
started.wait()
"""
    code = code.replace("PREPARE", "shmtel.emit('first', {})" if is_ring_there else "")
    code = code.replace("STARTED_AT", "10" if is_ring_there else "0")
    recorded = 0
    for _ in range(5):
        with fresh_namespace() as namespace:
            ring = _run_to_its_end(code, namespace)
            if ring is None:
                assert not is_ring_there
                continue
            for thread in range(4):
                numbers = [
                    event.measurements["n"]
                    for event in ring.events
                    if event.name == "common" and event.measurements["thread"] == thread
                ]
                assert numbers == list(range(len(numbers)))
                recorded += len(numbers)
    assert recorded > 0 or not is_ring_there
