"""Arguments that are no built-in values, or far too many."""

import os
from typing import Any

import pytest

import shmtel
from shmtel import _ring
from shmtel.plain import make_plain
from support.own_ring import OwnRing
from support.processes import left_rings, run_python
from support.program import fresh_namespace


def twice_nested(levels: int) -> dict[str, Any]:
    """A few small dicts that would be 2 ** levels if each were written out."""
    value: dict[str, Any] = {"x": 1}
    for _ in range(levels):
        value = {"a": value, "b": value}
    return value


def test_shared_containers_do_not_explode(ring: OwnRing) -> None:
    """Nesting that is deep and shared is cut, not written out."""
    shmtel.emit("nested", {}, {"value": twice_nested(200)})
    stats = shmtel.stats()
    assert len(ring.events()) + stats["dropped"]["too_large"] >= 1


@pytest.mark.parametrize(
    "value",
    [[[[[0] * 1000] * 1000] * 1000], ["x" * 60_000] * 1000, [b"x" * 60_000] * 1000],
    ids=["values", "text", "bytes"],
)
def test_more_than_a_record_holds_is_too_large(ring: OwnRing, value: Any) -> None:
    """What cannot fit is not made plain to its end, and counted for what it is."""
    before = shmtel.stats()["dropped"]["too_large"]
    shmtel.emit("huge", {}, {"odd": object(), "value": value})
    assert shmtel.stats()["dropped"]["too_large"] == before + 1
    assert ring.events() == []


def test_long_list_beside_an_odd_value_is_shortened(ring: OwnRing) -> None:
    """A list over the limit of items becomes text, with dots for the rest."""
    shmtel.emit("long", {}, {"odd": object(), "value": list(range(100_000))})
    (event,) = ring.events()
    assert event.metadata is not None
    assert event.metadata["value"].startswith("[0, 1, 2, ")
    assert event.metadata["value"].endswith("...]")


def test_endless_container_becomes_text() -> None:
    """A list that holds itself has an end."""
    endless: list[Any] = []
    endless.append(endless)
    plain = make_plain("e", {}, {"value": endless}, None)
    assert plain is not None
    assert "..." in str(plain[2])


class Meddling(dict[str, Any]):
    """A dict whose items do something else first."""

    def __init__(self, act: Any) -> None:
        super().__init__(key=1)
        self.act = act

    def items(self) -> Any:
        """Meddle, then be a dict."""
        self.act()
        return super().items()


def test_argument_may_emit(ring: OwnRing) -> None:
    """An emit from an argument's own code is an event of its own, and first."""
    shmtel.emit("outer", Meddling(lambda: shmtel.emit("inner", {})))
    assert [event.name for event in ring.events()] == ["inner", "outer"]


def test_argument_may_disable(ring: OwnRing) -> None:
    """An event whose argument turns telemetry off is counted as disabled."""
    before = shmtel.stats()["disabled"]
    shmtel.emit("outer", {}, Meddling(shmtel.disable))
    shmtel.enable()
    assert shmtel.stats()["disabled"] == before + 1
    assert ring.events() == []


def test_argument_may_change_another(ring: OwnRing) -> None:
    """The event holds one state of its arguments, whatever they do meanwhile."""
    metadata: dict[str, Any] = {}
    metadata.update(odd=Meddling(metadata.clear), after=2)
    shmtel.emit("changed", {}, metadata)
    stats = shmtel.stats()
    assert stats["emitted"] >= stats["committed"]
    shmtel.emit("next", {})
    assert ring.events()[-1].name == "next"


@pytest.mark.parametrize(
    "fork", ["os.fork()", "ctypes.PyDLL(None).syscall(NUMBER, 17, 0, 0, 0, 0)"],
    ids=["os", "raw"],
)  # fmt: skip
def test_argument_may_fork_and_fail(fork: str) -> None:
    """Parent and child each count the event that its argument has spoilt."""
    code = f"""
import ctypes, os, shmtel
class Forking:
    def __str__(self):
        self.pid = {fork}
        raise ValueError
shmtel.emit("e", {{}})
value = Forking()
shmtel.emit("e", {{}}, {{"value": value}})
invalid = shmtel.stats()["dropped"]["invalid"]
if value.pid == 0:
    os._exit(40 + invalid)
assert invalid == 1
assert os.waitstatus_to_exitcode(os.waitpid(value.pid, 0)[1]) == 41
"""
    number = {"x86_64": "56", "aarch64": "220"}[os.uname().machine]
    with fresh_namespace() as namespace:
        run_python(code.replace("NUMBER", number), namespace)


def test_spoilt_event_is_not_counted_under_a_name_of_the_next_ring() -> None:
    """An argument that ends its ring and fails is counted without a name."""
    code = """
import os, shmtel
from shmtel import _ring, ring
class Ending:
    def __str__(self):
        (name,) = ring.home_in_force().scan(os.environ["SHMTEL_NAMESPACE"])
        fd = ring.home_in_force().open(name, writable=True)
        _ring.Consumer(fd).set_enabled(_ring.RING_RETIRED)
        shmtel.emit("new", {})
        raise ValueError
shmtel.emit("old", {}, {"value": Ending()})
assert shmtel.stats()["dropped"]["invalid"] == 1
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        new = left_rings(namespace)[-1]
        (of_name,) = _ring.observe(new.reader.consumer.fileno())["events"]
        assert sum(of_name["dropped"].values()) == 0
