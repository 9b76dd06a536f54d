"""The worker's ring: the typed face of the C core, and how a ring is made.

The core emits; when it is short of something it calls back into here. The
first emit of a process finds no ring and calls `open_ring`, which makes a
segment and hands its descriptor to the core.

Rules:
- importing this module opens nothing and imports nothing heavy; what a ring
  needs is imported when the first one is made;
- nothing here raises into an emit: what fails is warned of once, and the core
  counts the events as dropped, reason `no_ring`.
"""

from __future__ import annotations

import os

from shmtel import _ring

TYPE_CHECKING = False  # importing typing would take longer than all the rest
if TYPE_CHECKING:
    from typing import Any

    from shmtel.config import WorkerConfig
    from shmtel.segments import Home

_CURES = {
    "no_space": "free some, make it larger (docker run --shm-size, the sizeLimit of "
    "a Kubernetes volume, mount -o remount,size=...), or set a smaller "
    "SHMTEL_RING_SIZE",
}
_DEFAULT_CURE = "check that it exists, is a tmpfs, and that this user may write to it"

# What `use` was given; empty where the environment is asked.
_settings: list[WorkerConfig] = []


def use(settings: WorkerConfig | None) -> None:
    """Make the rings of this process with these settings; None: the environment's.

    For a process that has settings of its own, such as the collector. A ring
    that is there already stays as it is; `shmtel.enable()` is still needed.
    """
    _settings[:] = [] if settings is None else [settings]
    _ring.remember(None)


def settings_in_force() -> WorkerConfig:
    """Return the settings that the next ring of this process is made with."""
    from shmtel import config

    return _settings[0] if _settings else config.load()


def home_in_force() -> Home:
    """Return where the next ring of this process is made."""
    from shmtel import segments

    return segments.home_of(settings_in_force().directory)


def open_ring() -> bool | Exception:
    """Make the ring of this process; return whether it has one now.

    What the handler of a signal has raised meanwhile is returned for the caller.
    """
    from shmtel import interruptions

    pid = os.getpid()
    failure = _try_to_make_segment()
    if os.getpid() != pid:  # the handler of a signal has forked in there
        return open_ring()
    if failure is None:
        return True
    interruption = interruptions.exception_of_handler(failure)
    if isinstance(interruption, Exception):
        return interruption
    _warn(failure)
    return False


def _warn(failure: Exception) -> None:
    from shmtel import config

    directory = home_in_force().directory
    cure = _CURES.get(getattr(failure, "reason", ""), _DEFAULT_CURE)
    config.warn_once(
        f"telemetry is off in this process: {failure}. Cure: {directory}: {cure}; "
        "then restart the process or call shmtel.enable()",
        condition="no ring",
    )


def _try_to_make_segment() -> Exception | None:
    try:
        _make_segment(settings_in_force(), home_in_force())
    except Exception as error:  # a worker must survive whatever the host is like
        return error
    return None


def _make_segment(settings: WorkerConfig, home: Home) -> None:
    from shmtel import segments

    pid, ring_id = os.getpid(), os.urandom(16)
    name = segments.segment_name(settings.namespace, ring_id)
    _close_at_exit()
    _keep_budget(home, settings.namespace)
    _in_making.add(name)
    try:
        _make_ring(home, name, ring_id, settings, pid)
    finally:
        _in_making.discard(name)


# Segments that threads of this process are about to adopt.
_in_making: set[str] = set()


def _is_own(name: str) -> bool:
    """Say whether a segment is of this process; it must not be opened then.

    In this order: what is made no more has been adopted by now.
    """
    if name in _in_making:
        return True
    return name.rpartition(".")[2] in {ring_id.hex() for ring_id in _ring.own_rings()}


def _keep_budget(home: Home, namespace: str) -> None:
    """Make room by what the dead have left; a ring is made in any case."""
    from shmtel import config, interruptions

    try:
        from shmtel.budget import keep_budget

        keep_budget(home, namespace, _is_own)
    except Exception as error:
        interruptions.pass_on(error)
        config.warn_once(
            f"rings of dead workers stay in {home.directory}: {error}. Cure: run "
            "`shmtel collector`, which drains them",
            condition="budget",
        )


def _make_ring(
    home: Home, name: str, ring_id: bytes, settings: WorkerConfig, pid: int
) -> None:
    fd = home.create(name)
    segment = os.fstat(fd)
    try:
        if settings.directory:
            _warn_of_disk(fd, home)
        _adopt(fd, ring_id, settings, pid)
    finally:
        # The core is asked, for a signal may interrupt at any point. Not its own:
        # refused, or another thread was faster, or a child was forked in here.
        if ring_id not in _ring.own_rings():
            if os.getpid() == pid:
                home.unlink(name)
                os.close(fd)
            else:
                _close_inherited(fd, segment)


def _close_inherited(fd: int, segment: os.stat_result) -> None:
    """Close the parent's segment, unless the core has, at the fork."""
    from shmtel import interruptions

    try:
        is_segment = os.path.samestat(os.fstat(fd), segment)
    except OSError as error:
        interruptions.pass_on(error)
        return
    if is_segment:
        os.close(fd)


def _warn_of_disk(fd: int, home: Home) -> None:
    """A ring on a disk works, but the kernel writes it back, and may make us wait."""
    from shmtel import config

    if not _ring.is_in_memory(fd):
        config.warn_once(
            f"SHMTEL_DIR={home.directory} is no tmpfs, so emitting may wait for a "
            "disk. Cure: name a directory on a tmpfs, such as a Kubernetes volume "
            "with medium: Memory"
        )


def _close_at_exit() -> None:
    """Register for the end of this process; a child may have lost its parent's."""
    import atexit

    if _registered != [os.getpid()]:
        _registered[:] = [os.getpid()]
        atexit.register(end)


def end() -> None:
    """Say good-bye in the ring; for a process that leaves without `atexit`."""
    _ended[:] = [os.getpid()]
    _ring.close()


# Pids: of the process that has registered; of the one whose end has begun.
_registered: list[int] = []
_ended: list[int] = []


def _adopt(fd: int, ring_id: bytes, settings: WorkerConfig, pid: int) -> None:
    from shmtel import config, identities, resource

    # From here on by itself: what the handler of a signal emits in the middle of an
    # import would find half a module, and at the end of the process there is none.
    from shmtel.plain import make_plain

    _install(config.initial_words(settings), make_plain)
    if _ring.adopt(
        fd,
        capacity=settings.ring_size_bytes,
        resource=resource.describe(identities.claim_identity(settings), _parent_ring()),
        ring_id=ring_id,
        boot_id=resource.boot_id(),
        pid_namespace=resource.pid_namespace(),
        start_time=resource.start_time(),
        pid=pid,
        initial_threshold=_initial_threshold(settings),
        overflow=_overflow(settings),
    ):
        _last_ring[:] = [os.getpid(), ring_id]
        if _ended == [os.getpid()]:
            _ring.close()  # nobody will do so later


# Process and id of the ring made last; in a forked child, those of its parent.
_last_ring: list[Any] = []


def _parent_ring() -> bytes | None:
    if _last_ring and _last_ring[0] != os.getpid():
        ring_id: bytes = _last_ring[1]
        return ring_id
    return None


def _initial_threshold(settings: WorkerConfig) -> int:
    from shmtel.config import threshold_of

    threshold = threshold_of(settings.sampling_rate)
    return threshold if threshold <= _ring.THRESHOLD_MAX else 0


def _overflow(settings: WorkerConfig) -> int:
    overwrites = settings.overflow == "overwrite"
    return _ring.RING_OVERWRITE if overwrites else _ring.RING_DROP


def _make_plain(*arguments: object) -> tuple[Any, ...] | Exception | None:
    from shmtel.plain import make_plain

    return make_plain(*arguments)


def _decorate(span: _ring.Span, function: Any) -> Any:
    from shmtel.spans import decorate

    return decorate(span, function)


def _describe_error(metadata: object, error: BaseException) -> dict[str, object]:
    from shmtel.outcomes import describe_error

    return describe_error(metadata, error)


def _install(initial_word: Any = None, make_plain: Any = _make_plain) -> None:
    _ring.install(
        open_ring=open_ring,
        make_plain=make_plain,
        decorate=_decorate,
        describe_error=_describe_error,
        initial_word=initial_word,
    )


def start() -> None:
    """Connect the core with its call-backs and obey the environment."""
    _install()
    _close_at_exit()  # early, so that it comes last: handlers of the program may emit
    if os.environ.get("SHMTEL_ENABLED"):
        from shmtel import config

        if config.is_enabled_by():
            config.load()  # warn of bad values now, once, before any fork
            _ring.enable()
            if os.environ.get("SHMTEL_INSTRUMENT") and _ring.is_switched_on():
                from shmtel import hooks

                hooks.obey_environment()
