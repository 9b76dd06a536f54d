"""Errors that nobody has caught become events, and all else stays as it was."""

import contextlib
import signal
import subprocess
import sys
from typing import Any

import pytest

from shmtel import uncaught
from support.own_ring import Event
from support.processes import environment, left_rings
from support.program import fresh_namespace

NAME = "python.error.occurred"


def run(code: str, returncode: int = 0) -> tuple[list[Event], str]:
    """Run a program with the hooks; return the errors of its rings, and its stderr."""
    with fresh_namespace() as namespace:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd="/",
            env=environment(namespace, SHMTEL_INSTRUMENT="errors"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == returncode, done.stderr
        rings = left_rings(namespace)
        for ring in rings:
            dropped = ring.reader.consumer.counters()["dropped"]
            assert sum(dropped.values()) == 0, dropped
        return [e for ring in rings for e in ring.events if e.name == NAME], done.stderr


def metadata(event: Event) -> dict[str, Any]:
    """Return the metadata, of which an error always has four texts."""
    assert event.measurements == {"count": 1}
    found = event.metadata or {}
    assert found.keys() == {"source", "error_type", "error_message", "location"}
    assert all(type(value) is str for value in found.values())
    return found


# Each raises "why" in a function `fail`, where its source is the only one to see it.
FAIL = "import shmtel\ndef fail(*_): raise LookupError('why')\n"
LOOP = """
import asyncio
async def main():
    SET_UP
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.001)
asyncio.run(main())
"""
SOURCES = {
    "main": "fail()",
    "thread": """
import threading
thread = threading.Thread(target=fail)
thread.start(); thread.join()
""",
    "asyncio": LOOP.replace("SET_UP", "pass"),
    "unraisable": """
class Last:
    def __del__(self): fail()
Last()
""",
}


@pytest.mark.parametrize("source", SOURCES)
def test_error_of_each_source(source: str) -> None:
    """The event says what and where; the traceback is printed as ever."""
    code = FAIL + SOURCES[source]
    (event,), stderr = run(code, returncode=source == "main")
    assert metadata(event) == {
        "source": source,
        "error_type": "LookupError",
        "error_message": "why",
        "location": "<string>:2 in fail",
    }
    assert stderr.count("LookupError: why") == 1
    assert "uncaught.py" not in stderr


# A program's own function in the place of each, by source; what it found there is
# `former`. The second one passes on, as it should.
REPLACEMENTS = {
    "main": ("sys", "excepthook"),
    "thread": ("threading", "excepthook"),
    "unraisable": ("sys", "unraisablehook"),
}
REPLACE = """
import sys, threading
former = {owner}.{name}
def replacement(*arguments):
    print("replacement", file=sys.stderr)
    if {passes_on}: former(*arguments)
{owner}.{name} = replacement
"""


@pytest.mark.parametrize("source", REPLACEMENTS)
@pytest.mark.parametrize("comes", ["before", "after"])
def test_function_of_the_program(source: str, comes: str) -> None:
    """Set before, it is called instead of the default; set later, it calls us."""
    owner, name = REPLACEMENTS[source]
    replace = REPLACE.format(owner=owner, name=name, passes_on=comes == "after")
    code = FAIL + SOURCES[source]
    code = (
        replace + code if comes == "before" else code.replace("\n", f"\n{replace}", 1)
    )
    (event,), stderr = run(code, returncode=source == "main")
    assert metadata(event)["source"] == source
    assert stderr.count("replacement") == 1
    assert stderr.count("LookupError: why") == (comes == "after")


@pytest.mark.parametrize(
    ("prelude", "policy"),
    [("import asyncio", ""), ("", ""), ("", "from uvloop import new_event_loop")],
    ids=["before", "later", "uvloop"],
)
def test_handler_that_the_program_sets_for_its_loop(prelude: str, policy: str) -> None:
    """It has the error to itself, and the event is there all the same."""
    handler = "asyncio.get_running_loop().set_exception_handler(handle)"
    loop = LOOP.replace("SET_UP", handler)
    if policy:
        loop = loop.replace(
            "asyncio.run(main())", "new_event_loop().run_until_complete(main())"
        )
    code = f"""{prelude}
{FAIL}{policy}
import sys
def handle(loop, context): print("handled", context["exception"], file=sys.stderr)
{loop}"""
    (event,), stderr = run(code)
    assert metadata(event)["location"].endswith("in fail")
    assert stderr == "handled why\n"


def test_tasks_that_nobody_waits_for() -> None:
    """An error that is never retrieved, and a task that is lost, which has none."""
    code = """
import shmtel, asyncio, gc
async def fail(): raise LookupError("why")
async def wait(): await loop.create_future()
loop = asyncio.new_event_loop()
async def main():
    asyncio.ensure_future(fail())
    asyncio.ensure_future(wait())
    await asyncio.sleep(0.001)
loop.run_until_complete(main())
gc.collect()
"""
    events, stderr = run(code)
    found = [metadata(event) for event in events]
    assert {each["source"] for each in found} == {"asyncio"}
    assert sorted(each["error_type"] for each in found) == ["", "LookupError"]
    messages = sorted(each["error_message"] for each in found)
    assert messages == ["Task was destroyed but it is pending!", "why"]
    assert stderr.count("never retrieved") == stderr.count("was destroyed") == 1


@pytest.mark.parametrize(
    ("statement", "returncode"),
    [
        ("sys.exit(5)", 5),
        ("raise SystemExit('text')", 1),
        ("raise KeyboardInterrupt", -2),
        ("threading.Thread(target=sys.exit).start()", 0),
        ("raise BaseExceptionGroup('g', [KeyboardInterrupt()])", 1),
    ],
)
def test_wish_to_end_is_no_error(statement: str, returncode: int) -> None:
    """SystemExit and KeyboardInterrupt, wherever they come from."""
    assert run(f"import shmtel, sys, threading\n{statement}", returncode)[0] == []


CLOSED = """
import asyncio, shmtel
class Error(Exception):
    def __getattribute__(self, name): raise ValueError(name)
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)
loop.call_exception_handler({"message": "m", "exception": Error("why")})
loop.close()
"""


def test_exception_that_tells_nothing_is_told() -> None:
    """Where it comes from is asked of what it is, not of its own code."""
    (event,), _ = run(CLOSED)
    assert metadata(event)["error_type"] == "__main__.Error"
    assert metadata(event)["error_message"] == "why"


FROZEN = """
import sys, types
class Meta(type):
    def __setattr__(cls, name, value): raise TypeError("frozen")
class Loop(metaclass=Meta):
    def call_exception_handler(self, context): pass
sys.modules["uvloop"] = types.ModuleType("uvloop")
sys.modules["uvloop"].Loop = Loop
"""


def test_class_that_cannot_be_changed_is_left_alone() -> None:
    """The program starts, is told, and its other errors are."""
    (event,), stderr = run(f"{FROZEN}\n{FAIL}\nfail()", 1)
    assert metadata(event)["source"] == "main"
    assert "where uvloop meets them: frozen" in stderr


CLASSES = """
import shmtel
class Meta(type):
    __module__ = property(lambda cls: 1 / 0)
    __name__ = property(lambda cls: 1 / 0)
class Error(Exception, metaclass=Meta):
    def __str__(self): return text()
raise Error("why")
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'x' * 10**7", "x" * 1024),
        ("1 / 0", ""),
        ("5", ""),
        (r"'a\ud800b'", r"a\ud800b"),
        ("type('S', (str,), {'__getitem__': None})('sub')", "sub"),
        ("error()", ""),
    ],
    ids=["huge", "raises", "no text", "surrogate", "subclass", "recursion"],
)
def test_error_that_does_not_want_to_be_described(text: str, message: str) -> None:
    """Its text is bounded, or missing; its class is named without asking it."""
    code = f"def text(): return {text}\ndef error(): return error(){CLASSES}"
    (event,), _ = run(code, returncode=1)
    assert metadata(event)["error_message"] == message
    assert metadata(event)["error_type"] == "__main__.Error"


def test_names_are_qualified_and_bounded() -> None:
    """A class has its module in front; long paths keep their ends."""
    code = """
import shmtel, json
def fail(): raise json.JSONDecodeError("why", "", 0)
fail.__code__ = fail.__code__.replace(co_filename="/long" * 200 + "/end.py",
                                      co_qualname="f" * 1000)
fail()
"""
    (event,), _ = run(code, returncode=1)
    found = metadata(event)
    assert found["error_type"] == "json.decoder.JSONDecodeError"
    assert f"/end.py:3 in {'f' * 200}" in found["location"]
    assert len(found["location"]) == 512


def test_errors_of_threads_and_children() -> None:
    """Each of many threads has its event, and a forked child has its parent's hooks."""
    code = """
import shmtel, os, threading, sys
def fail(number): raise LookupError(number)
threads = [threading.Thread(target=fail, args=(n,)) for n in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if os.fork() == 0: raise ValueError("child")
os.wait()
"""
    events, _ = run(code)
    messages = [metadata(event)["error_message"] for event in events]
    assert sorted(messages[:20], key=int) == [str(number) for number in range(20)]
    assert messages[20:] == ["child"]


def test_errors_of_the_last_finalizers() -> None:
    """What a module's own object raises at the very end is an event still."""
    code = FAIL + SOURCES["unraisable"].replace("\nLast()", "\nlast = Last()")
    code += "shmtel.emit('first', {})"  # no ring can be made when modules are gone
    (event,), stderr = run(code)
    assert metadata(event)["error_message"] == "why"
    assert stderr.count("LookupError: why") == 1


def test_hooks_are_removed() -> None:
    """What was there comes back; beneath another's hook ours is passed through."""
    code = """
import shmtel, sys, threading, asyncio
from asyncio.base_events import BaseEventLoop
from shmtel import hooks, uncaught
hooks.uninstall()
assert sys.excepthook is sys.__excepthook__
assert sys.unraisablehook is sys.__unraisablehook__
assert threading.excepthook is threading.__excepthook__
assert "uncaught" not in BaseEventLoop.call_exception_handler.__code__.co_filename
assert not any(type(each).__module__.startswith("shmtel") for each in sys.meta_path)
hooks.install("errors")
ours = sys.excepthook
def theirs(*arguments): ours(*arguments)
sys.excepthook = theirs
hooks.uninstall("errors")
assert sys.excepthook is theirs
theirs(ValueError, ValueError("unseen"), None)
hooks.install("errors")
hooks.install("errors")
sys.excepthook(ValueError, ValueError("seen"), None)
"""
    events, stderr = run(code)
    assert [metadata(event)["error_message"] for event in events] == ["seen"]
    assert stderr.splitlines() == ["ValueError: unseen", "ValueError: seen"]


class Late(Exception):
    """What a handler of a signal raises."""


def _be_late(*_: object) -> None:
    raise Late


def _raise_in_hook(kind: type[BaseException]) -> None:
    if kind is Late:
        signal.raise_signal(signal.SIGUSR1)
    raise kind


@pytest.mark.parametrize("kind", [ValueError, MemoryError, KeyboardInterrupt, Late])
def test_failure_of_a_hook_itself(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former function is called; only what is the program's own comes out."""
    shown: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: shown.append(error))
    monkeypatch.setattr(uncaught, "report", lambda *_: _raise_in_hook(kind))
    before = signal.signal(signal.SIGUSR1, _be_late)
    uncaught.install()
    try:
        error = LookupError("why")
        is_ours = kind in (ValueError, MemoryError)
        with contextlib.nullcontext() if is_ours else pytest.raises(kind):
            sys.excepthook(LookupError, error, None)
        assert shown == [(LookupError, error, None)]
    finally:
        uncaught.uninstall()
        signal.signal(signal.SIGUSR1, before)
