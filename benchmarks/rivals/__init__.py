"""Ways of sending an event out of a process, shmtel's among them: one file each.

Each file has functions `open_...`, which run in the producing process and return
a Sender, and, where the events go to another process, `serve`, which runs there
and returns a Sink. The event is that of `measure`, in whatever form the library
wants it, built beforehand.

Rules: a file imports only the library it stands for, and uses it as its own
documentation says; what is not its default is named in the title of the case.
"""

from collections.abc import Callable
from dataclasses import dataclass


def _nothing() -> None:
    """Do nothing, where there is nothing to do."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Sender:
    """What a producing process does with events.

    Attributes:
        emit: sends one.
        flush: returns when the process has no more to do for those it sent.
        kept: how many were kept, if that is known here and not at the sink.
        dropped: how many this process knows it dropped; None: it does not count.
        is_behind: a sender that waits while this is true loses nothing.
        close: ends what it has started, if that would outlive the process.
    """

    emit: Callable[[], object]
    flush: Callable[[], object] = _nothing
    kept: Callable[[], int] | None = None
    dropped: Callable[[], int] | None = None
    is_behind: Callable[[], bool] = _never
    close: Callable[[], object] = _nothing


@dataclass(frozen=True)
class Sink:
    """The other end, in a process of its own.

    Attributes:
        address: what the senders are told.
        count: how many events have arrived.
        pids: its processes besides the one that called `serve`.
    """

    address: str
    count: Callable[[], int]
    close: Callable[[], object] = _nothing
    pids: tuple[int, ...] = ()
