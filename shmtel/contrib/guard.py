"""Keeps what goes wrong in an integration from the framework that it is for."""

import contextlib
from collections.abc import Iterator

from shmtel.config import warn_once
from shmtel.interruptions import pass_on


@contextlib.contextmanager
def guarded(framework: str) -> Iterator[None]:
    """Warn once of an exception; one of a signal's handler is the program's."""
    try:
        yield
    except Exception as error:
        pass_on(error)
        warn_once(
            f"{framework} runs on without part of its telemetry: {error!r}. Cure: use "
            f"a version that docs/guides/{framework}.md names",
            condition=f"contrib {framework}",
        )
