"""How events name the class of an error: one way, whoever meets it."""

import contextlib
from typing import Any

import pytest

import shmtel
from shmtel import uncaught
from shmtel.outcomes import describe_error
from support.own_ring import OwnRing


class Text(str):
    """Text that minds being used."""

    __hash__ = str.__hash__

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError

    __str__ = __format__ = __getitem__ = __eq__ = __add__ = _refuse  # type: ignore[assignment]


def _of_span(ring: OwnRing, error: BaseException) -> str:
    with contextlib.suppress(type(error)), shmtel.span("job"):
        raise error
    return _told(ring, "job.exception")


def _of_hook(ring: OwnRing, error: BaseException) -> str:
    uncaught.report("main", type(error), error, None)
    return _told(ring, uncaught.EVENT)


def _told(ring: OwnRing, name: str) -> str:
    (metadata,) = [event.metadata for event in ring.events() if event.name == name]
    assert metadata is not None
    return str(metadata["error_type"])


def _of_others(_ring: OwnRing, error: BaseException) -> str:
    return str(describe_error({}, error)["error_type"])


@pytest.mark.parametrize("told", [_of_span, _of_hook, _of_others])
@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("shop.cart", "Cart.Full", "shop.cart.Cart.Full"),
        ("__main__", "Full", "__main__.Full"),
        ("builtins", "Full", "Full"),
        ("", "Full", "Full"),
        (None, "Full", "Full"),
        (property(lambda self: 1 / 0), "Full", "Full"),
        (Text("shop"), Text("Full"), "shop.Full"),
        ("a\ud800", "b\ud800", r"a\ud800.b\ud800"),
        ("m" * 10_000, "Full", "m" * 256),
        ("shop", "\ud800" * 10_000, ("shop." + r"\ud800" * 256)[:256]),
    ],
    ids=range(10),
)
def test_error_is_named_as_exception_type(
    ring: OwnRing, told: Any, module: object, name: str, expected: str
) -> None:
    """By its module and qualified name, whatever a class says these are."""
    kind = type("Error", (Exception,), {"__module__": module, "__qualname__": name})
    assert told(ring, kind("why")) == expected


@pytest.mark.parametrize("told", [_of_span, _of_hook, _of_others])
def test_error_without_a_module_is_named(ring: OwnRing, told: Any) -> None:
    """A class that was made where there is none has a name still."""
    made: dict[str, Any] = {"__builtins__": {"type": type, "Exception": Exception}}
    exec("Lost = type('Lost', (Exception,), {})", made)
    with pytest.raises(AttributeError):
        _ = made["Lost"].__module__
    assert told(ring, made["Lost"]("why")) == "Lost"
