"""Hooks that make events of what the interpreter does: SHMTEL_INSTRUMENT.

    SHMTEL_ENABLED=1 SHMTEL_INSTRUMENT=gc,errors python shop.py

`gc` makes `python.gc.completed` of each garbage collection, `errors` makes
`python.error.occurred` of each error that nobody has caught.

A hook may be what makes the ring of a process, in the middle of anything: also of
an import. What makes a ring is imported beforehand, so that it meets no module
that is half there.
"""

import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module

from shmtel import _ring, config, uncaught

VARIABLE = "SHMTEL_INSTRUMENT"

# What the first event of a process would import.
_OF_A_RING = (
    *("budget", "dead_rings", "evictions", "identities", "interruptions", "liveness"),
    *("plain", "procfs", "resource", "segments", "worker_index"),
)


def _watch_collections() -> None:
    if _ring.note_collection not in gc.callbacks:
        gc.callbacks.append(_ring.note_collection)


def _leave_collections() -> None:
    if _ring.note_collection in gc.callbacks:
        gc.callbacks.remove(_ring.note_collection)


_Act = Callable[[], None]
_HOOKS: dict[str, tuple[_Act, _Act]] = {
    "gc": (_watch_collections, _leave_collections),
    "errors": (uncaught.install, uncaught.uninstall),
}

_CURE = "use gc, errors, or both with a comma between them"


def install(*words: str) -> None:
    """Install hooks by their words, `gc` and `errors`; those that are there stay.

    Telemetry is not switched on by this. A forked child has its parent's hooks.

    Raises:
        ValueError: there is no such word.
    """
    _check(words)
    for module in _OF_A_RING:
        import_module(f"shmtel.{module}")
    for word in words:
        _HOOKS[word][0]()


def uninstall(*words: str) -> None:
    """Remove hooks, all of them unless words are given; others' hooks stay.

    Raises:
        ValueError: there is no such word.
    """
    _check(words)
    for word in words or _HOOKS:
        _HOOKS[word][1]()


def obey_environment() -> None:
    """Install what SHMTEL_INSTRUMENT names; warn once of what it cannot mean.

    Not in the tools of shmtel, which are no workers, though a container may set the
    variable for all that runs in it.
    """
    if _is_tool():
        return
    named = (word.strip() for word in os.environ.get(VARIABLE, "").split(","))
    words = [word for word in named if word]
    for word in words:
        if word not in _HOOKS:
            config.warn_once(f"{VARIABLE}: {word!r} is ignored: {_CURE}")
    install(*(word for word in words if word in _HOOKS))


def _is_tool() -> bool:
    """Say whether this is `shmtel` or `python -m shmtel.cli`, which is being found."""
    name = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    return name == "shmtel" or (name == "-m" and "shmtel.cli" in sys.orig_argv)


def _check(words: tuple[str, ...]) -> None:
    for word in words:
        if word not in _HOOKS:
            raise ValueError(f"there is no hook {word!r}: {_CURE}")
