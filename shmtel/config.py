"""Settings of a worker, from its environment.

A bad value never stops a worker: the default is used, and one warning per
process tree names the variable and the cure.

Rules: parsing happens when the settings are first needed, not at import;
nothing here opens anything, or imports what not every interpreter can load.
"""

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import NamedTuple, TypeVar

from shmtel import _ring
from shmtel.errors import ShmtelWarning

MIN_RING_SIZE = 64 << 10
MAX_RING_SIZE = 1 << 30
DEFAULT_RING_SIZE = 1 << 20

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
DURATION_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MAX_MS = 366 * DURATION_UNITS_MS["d"]
NAMESPACE_PATTERN = r"[A-Za-z0-9_-]{1,64}"  # of parts of file names
MAX_ID_BYTES = 128

_T = TypeVar("_T")
_warned: set[str] = set()


class WorkerConfig(NamedTuple):
    """What a process needs to know to make its ring."""

    namespace: str = "default"
    ring_size_bytes: int = DEFAULT_RING_SIZE
    overflow: str = "drop"
    worker_id: str | None = None
    pool_name: str = "default"
    service: str | None = None
    sampling_rate: float = 1.0
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    directory: str | None = None  # None: POSIX shared memory


def warn_once(text: str, condition: str | None = None) -> None:
    """Warn of a condition once per process and its forked children.

    A program that turns warnings into errors gets a line on stderr instead, if
    there is a stderr: telemetry does not raise.

    Args:
        condition: what the warning is about, if its text is not always the same.
    """
    if (condition or text) in _warned:
        return
    _warned.add(condition or text)
    try:
        warnings.warn(text, ShmtelWarning, stacklevel=2)
    except Exception:  # whatever the program has made of its warnings
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.write(f"ShmtelWarning: {text}\n")


def parse_boolean(text: str) -> bool:
    """Read a switch.

    Raises:
        ValueError: it is neither 1/true/yes/on nor 0/false/no/off.
    """
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("use 1, true, yes or on; or 0, false, no or off")


def parse_bytes(text: str) -> int:
    """Read a number of bytes such as `64KiB` or `4MiB`.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"\s*(\d+)\s*([A-Za-z]*)\s*", text, re.ASCII)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise ValueError("use a number with KiB, MiB or GiB, such as 1MiB")
    return int(match[1]) * unit


def parse_duration(text: str) -> int:
    """Return a span of time in milliseconds.

    Raises:
        ValueError: it is none, or none that makes sense; the text says why.
    """
    parts = re.findall(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("write it like 90s, 10m, 1h30m or 2d")
    total = round(
        sum(float(number) * DURATION_UNITS_MS[unit] for number, unit in parts)
    )
    if not 1 <= total <= _MAX_MS:
        raise ValueError("it is longer than nothing and at most 366d")
    return total


def parse_size(text: str) -> int:
    """Read a ring size such as `64KiB` or `4MiB`; rounded up to a power of two.

    Raises:
        ValueError: no size, or outside 64KiB to 1GiB.
    """
    size = parse_bytes(text)
    if not MIN_RING_SIZE <= size <= MAX_RING_SIZE:
        raise ValueError("use a size from 64KiB to 1GiB")
    return 1 << (size - 1).bit_length()


def parse_namespace(text: str) -> str:
    """Check a namespace: it becomes part of the names of segments.

    Raises:
        ValueError: it has other characters, or too many.
    """
    if re.fullmatch(NAMESPACE_PATTERN, text, re.ASCII) is None:
        raise ValueError("use 1 to 64 letters, digits, '-' or '_'")
    return text


def _parse_overflow(text: str) -> str:
    if text not in ("drop", "overwrite"):
        raise ValueError("use drop or overwrite")
    return text


def _parse_directory(text: str) -> str:
    if not os.path.isabs(text):
        raise ValueError("use the absolute path of a directory, best of a tmpfs")
    return os.path.normpath(text)


def _parse_id(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text.encode()) <= MAX_ID_BYTES:
        raise ValueError(f"use 1 to {MAX_ID_BYTES} printable bytes")
    return text


def _parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise ValueError("use a number from 0 to 1")
    return rate


def _parse_globs(text: str) -> tuple[str, ...]:
    return tuple(glob.strip() for glob in text.split(",") if glob.strip())


_Parser = Callable[[str], object]
_VARIABLES: tuple[tuple[str, str, _Parser], ...] = (
    ("SHMTEL_NAMESPACE", "namespace", parse_namespace),
    ("SHMTEL_RING_SIZE", "ring_size_bytes", parse_size),
    ("SHMTEL_OVERFLOW", "overflow", _parse_overflow),
    ("SHMTEL_WORKER_ID", "worker_id", _parse_id),
    ("SHMTEL_POOL_NAME", "pool_name", _parse_id),
    ("OTEL_SERVICE_NAME", "service", _parse_id),
    ("SHMTEL_SERVICE_NAME", "service", _parse_id),
    ("SHMTEL_SAMPLING_RATE", "sampling_rate", _parse_rate),
    ("SHMTEL_ALLOW", "allow", _parse_globs),
    ("SHMTEL_DENY", "deny", _parse_globs),
    ("SHMTEL_DIR", "directory", _parse_directory),
)


def _parse_or_warn(variable: str, text: str, parse: Callable[[str], _T]) -> _T | None:
    try:
        return parse(text)
    except ValueError as error:
        warn_once(f"{variable}={text!r} is ignored: {error}")
        return None


def load(environment: Mapping[str, str] = os.environ) -> WorkerConfig:
    """Read the settings; a bad value is warned of and left at its default."""
    values: dict[str, object] = {}
    for variable, field, parse in _VARIABLES:
        text = environment.get(variable)
        if text:
            value = _parse_or_warn(variable, text, parse)
            if value is not None:
                values[field] = value
    return WorkerConfig(**values)  # type: ignore[arg-type]


def is_enabled_by(environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether SHMTEL_ENABLED is on."""
    text = environment.get("SHMTEL_ENABLED")
    if not text:
        return False
    return bool(_parse_or_warn("SHMTEL_ENABLED", text, parse_boolean))


def threshold_of(rate: float) -> int:
    """Return the word of a sampling rate; see the words in ring_layout.h."""
    if rate <= 0.0:
        return _ring.WORD_KEEP_NONE
    return min(round((1.0 - rate) * 2**32), _ring.THRESHOLD_MAX)


def initial_words(config: WorkerConfig) -> Callable[[str], int] | None:
    """Return what answers a name's initial word; None if every word is 0."""
    if config.sampling_rate == 1.0 and not config.allow and not config.deny:
        return None
    threshold = threshold_of(config.sampling_rate)
    allow = [re.compile(translate(glob)) for glob in config.allow or ("*",)]
    deny = [re.compile(translate(glob)) for glob in config.deny]

    def initial_word(name: str) -> int:
        if any(glob.match(name) for glob in deny):
            return _ring.WORD_DENIED
        if not any(glob.match(name) for glob in allow):
            return _ring.WORD_DENIED
        return threshold

    return initial_word
