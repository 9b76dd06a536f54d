"""Arguments that are no built-in values, or far too many."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
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


class Endless(Sequence[int]):
    """A sequence without an end."""

    def __getitem__(self, index: Any) -> Any:
        return 0

    def __len__(self) -> int:
        return 3


class Crowd(Mapping[str, int]):
    """A mapping without an end."""

    def __getitem__(self, key: str) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def __len__(self) -> int:
        return 3


class Lying(Mapping[str, int]):
    """A mapping of one item that claims to have others."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter("a")

    def __len__(self) -> int:
        return self.length


class LongText:
    """Something whose text no record holds."""

    def __str__(self) -> str:
        return "x" * 70_000


class Failing:
    """Raises what it was given, whatever is asked of it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    __repr__ = __str__

    def __float__(self) -> float:
        raise self.error

    def __index__(self) -> int:
        raise self.error


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


def test_odd_value_does_not_change_what_fits(ring: OwnRing) -> None:
    """A list that fits into the record arrives whole, whatever stands beside it."""
    shmtel.emit("long", {}, {"odd": object(), "value": list(range(3000))})
    (event,) = ring.events()
    assert event.metadata is not None
    assert event.metadata["value"] == list(range(3000))


@pytest.mark.parametrize(
    "metadata",
    [
        {"value": [list(range(100_000))], "odd": object()},
        {"value": Endless()},
        {"value": Crowd()},
        Crowd(),
        {"odd": object()} | {str(number): number for number in range(20_000)},
        {"value": LongText()},
    ],
    ids=["list", "sequence", "mapping", "metadata", "keys", "text"],
)
def test_what_has_no_end_is_too_large(ring: OwnRing, metadata: Any) -> None:
    """Containers are read as far as a record could hold them, and no further."""
    before = shmtel.stats()["dropped"]["too_large"]
    shmtel.emit("huge", {}, metadata)
    assert shmtel.stats()["dropped"]["too_large"] == before + 1
    assert ring.events() == []


@pytest.mark.parametrize("number", [7, -1, 1 << 62])
def test_what_a_container_says_of_its_length_is_not_believed(
    ring: OwnRing, number: int
) -> None:
    """A mapping and a sequence hold what they yield."""
    shmtel.emit("lie", Lying(number), {"value": Lying(number)})
    (event,) = ring.events()
    assert event.measurements == {"a": 1}
    assert event.metadata == {"value": {"a": 1}}


def test_keys_of_one_text_are_all_kept(ring: OwnRing) -> None:
    """Neither map loses a value because two of its keys are the same text."""
    shmtel.emit("clash", {"1": 1, 1: 2, 1.0 + 0: 3}, {"x": 1, "y": {1: "a", "1": "b"}})  # type: ignore[dict-item]
    (event,) = ring.events()
    assert event.measurements == {"1": 1, "1_": 3}  # 1 == 1.0 to a dict
    assert event.metadata == {"x": 1, "y": {"1": "a", "1_": "b"}}


def test_mapping_that_fails_is_marked(ring: OwnRing) -> None:
    """A container whose own code raises is replaced by a mark; the rest is kept."""
    shmtel.emit("e", {"n": 1}, {"bad": Meddling(lambda: 1 / 0), "good": 2})
    (event,) = ring.events()
    assert event.metadata == {"bad": "<unprintable Meddling>", "good": 2}


def test_released_memory_and_generators_are_left_alone(ring: OwnRing) -> None:
    """What can be read once is still to be read afterwards."""
    generator, released = (number for number in (1, 2)), memoryview(b"x")
    released.release()
    shmtel.emit("e", {}, {"generator": generator, "released": released})
    (event,) = ring.events()
    assert event.metadata is not None
    assert event.metadata["generator"].startswith("<generator object ")
    assert event.metadata["released"] == "<unprintable memoryview>"
    assert list(generator) == [1, 2]


@pytest.mark.parametrize(
    "error", [RecursionError, MemoryError, Warning, ExceptionGroup]
)
def test_errors_of_a_value_end_in_its_mark(
    ring: OwnRing, error: type[Exception]
) -> None:
    """Whatever a value raises, its event is recorded with the rest of it."""
    arguments = ("group", [ValueError()]) if error is ExceptionGroup else ()
    shmtel.emit("e", {"n": 1}, {"bad": Failing(error(*arguments)), "good": 2})
    (event,) = ring.events()
    assert event.metadata == {"bad": "<unprintable Failing>", "good": 2}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("place", range(4))
def test_what_is_no_error_passes_through(
    ring: OwnRing, error: type[BaseException], place: int
) -> None:
    """An interrupt in a value's code is the caller's; the next event is recorded."""
    bad: Any = Failing(error())
    arguments: Any = [
        ("e", {"n": bad}),
        ("e", {}, {"k": [bad]}),
        ("e", {}, {bad: 1}),
        ("e", {}, None, bad),
    ][place]
    with pytest.raises(error):
        shmtel.emit(*arguments)
    shmtel.emit("after", {})
    assert [event.name for event in ring.events()] == ["after"]


def test_near_the_end_of_the_stack_an_event_is_counted(ring: OwnRing) -> None:
    """An emit with no stack left does not raise; it is recorded or counted."""

    def dive() -> None:
        shmtel.emit("deep", {}, {"value": object()})
        calls.append(None)
        dive()

    calls: list[None] = []
    before = shmtel.stats()["emitted"]
    with pytest.raises(RecursionError):
        dive()
    assert len(calls) <= shmtel.stats()["emitted"] - before <= len(calls) + 1
    ring.events()


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


def test_deep_container_of_another_kind_has_no_text_of_its_own() -> None:
    """What lies too deep is not written out by code that knows no bounds."""

    class Rows(list[Any]):
        """A list whose text would take long to make."""

        def __repr__(self) -> str:
            raise AssertionError("its own text was asked for")

    value: Any = Rows([1] * 1_000)
    for _ in range(9):
        value = [value]
    made = make_plain("e", {}, {"x": value}, None)
    assert isinstance(made, tuple)
    assert "<Rows>" in str(made[2])


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
shmtel.emit("e", {{}}, None, value)
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
shmtel.emit("old", {}, None, Ending())
assert shmtel.stats()["dropped"]["invalid"] == 1
"""
    with fresh_namespace() as namespace:
        run_python(code, namespace)
        new = left_rings(namespace)[-1]
        (of_name,) = _ring.observe(new.reader.consumer.fileno())["events"]
        assert sum(of_name["dropped"].values()) == 0
