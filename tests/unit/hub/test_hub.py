"""The hub as an application sees it."""

import subprocess
import sys

import pytest

from shmtel.hub import Hub


def ids_of(hub: Hub, pattern: str | None = None) -> list[str]:
    """Return the ids of the handlers that are listed."""
    return [handler.handler_id for handler in hub.list_handlers(pattern)]


def test_handlers_are_attached_listed_and_detached() -> None:
    """Lists follow what is attached, by names and globs in either direction."""
    hub = Hub("127.0.0.1:0")
    hub.attach("exact", "tool.stop", print)
    hub.attach_many("many", ["gc.*", "tool.start"], print)
    hub.attach_batch("all", "*", print)
    assert ids_of(hub) == ["exact", "many", "all"]
    assert ids_of(hub, "tool.stop") == ["exact", "all"]
    assert ids_of(hub, "gc.done") == ["many", "all"]
    assert ids_of(hub, "tool.*") == ["exact", "many", "all"]
    with pytest.raises(ValueError, match="'all'"):
        hub.attach("all", "x", print)
    assert hub.detach("all")
    assert not hub.detach("all")
    assert hub.stats().handlers == 2


@pytest.mark.parametrize("module", ["grpc", "google.protobuf", "msgspec"])
def test_a_missing_library_names_the_cure(module: str) -> None:
    """In a worker's install the import says what to install."""
    program = f"import sys; sys.modules[{module!r}] = None; import shmtel.hub"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'pip install "shmtel[hub]"' in done.stderr
