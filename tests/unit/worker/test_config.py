"""Settings from the environment: values, and what happens to bad ones."""

import warnings

import pytest

from shmtel import _ring, config
from shmtel.errors import ShmtelWarning


@pytest.fixture(autouse=True)
def forget_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test be the first to warn."""
    monkeypatch.setattr(config, "_warned", set())


def test_defaults() -> None:
    """An empty environment gives the documented defaults."""
    assert config.load({}) == config.WorkerConfig()
    assert config.WorkerConfig().ring_size_bytes == 1 << 20


def test_values_are_read() -> None:
    """Every variable reaches its setting."""
    settings = config.load(
        {
            "SHMTEL_NAMESPACE": "shop",
            "SHMTEL_RING_SIZE": "3MiB",
            "SHMTEL_OVERFLOW": "overwrite",
            "SHMTEL_WORKER_ID": "web-{pid}",
            "SHMTEL_POOL_NAME": "web",
            "SHMTEL_SERVICE_NAME": "checkout",
            "OTEL_SERVICE_NAME": "other",
            "SHMTEL_SAMPLING_RATE": "0.25",
            "SHMTEL_ALLOW": "a.*, b.*",
            "SHMTEL_DENY": "a.x",
        }
    )
    assert settings == config.WorkerConfig(
        namespace="shop",
        ring_size_bytes=4 << 20,
        overflow="overwrite",
        worker_id="web-{pid}",
        pool_name="web",
        service="checkout",
        sampling_rate=0.25,
        allow=("a.*", "b.*"),
        deny=("a.x",),
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("65536", 65536), ("64KiB", 65536), ("65KiB", 131072), ("1GiB", 1 << 30),
     (" 2 mib ", 2 << 20)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    """A size is rounded up to a power of two."""
    assert config.parse_size(text) == size


@pytest.mark.parametrize(
    ("variable", "value", "cure"),
    [
        ("SHMTEL_RING_SIZE", "63KiB", "64KiB to 1GiB"),
        ("SHMTEL_RING_SIZE", "2GiB", "64KiB to 1GiB"),
        ("SHMTEL_RING_SIZE", "big", "such as 1MiB"),
        ("SHMTEL_RING_SIZE", "1MB", "such as 1MiB"),
        ("SHMTEL_OVERFLOW", "wrap", "drop or overwrite"),
        ("SHMTEL_NAMESPACE", "a/b", "letters, digits"),
        ("SHMTEL_NAMESPACE", "n" * 65, "1 to 64"),
        ("SHMTEL_WORKER_ID", "w" * 129, "128 printable"),
        ("SHMTEL_POOL_NAME", "a\nb", "printable"),
        ("SHMTEL_SAMPLING_RATE", "1.5", "from 0 to 1"),
        ("SHMTEL_SAMPLING_RATE", "nan", "from 0 to 1"),
        ("SHMTEL_SAMPLING_RATE", "half", "from 0 to 1"),
    ],
)
def test_bad_value_warns_once_and_is_ignored(
    variable: str, value: str, cure: str
) -> None:
    """A bad value leaves the default, and the warning names variable and cure."""
    with pytest.warns(ShmtelWarning, match=variable) as caught:
        assert config.load({variable: value}) == config.WorkerConfig()
    assert cure in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.load({variable: value})


@pytest.mark.parametrize(
    ("value", "on"),
    [("1", True), ("TRUE", True), ("yes", True), ("on", True), ("0", False),
     ("off", False), ("", False)],
)  # fmt: skip
def test_switch(value: str, on: bool) -> None:
    """The usual words switch telemetry on and off."""
    assert config.is_enabled_by({"SHMTEL_ENABLED": value}) is on


def test_bad_switch_warns_and_stays_off() -> None:
    """Something that is no switch does not switch on."""
    with pytest.warns(ShmtelWarning, match="SHMTEL_ENABLED"):
        assert not config.is_enabled_by({"SHMTEL_ENABLED": "maybe"})


def test_warning_that_is_an_error_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where warnings are errors, telemetry still does not raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.load({"SHMTEL_RING_SIZE": "big"})
    assert "SHMTEL_RING_SIZE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rate", "word"),
    [(1.0, 0), (0.5, 1 << 31), (1e-12, 0xFFFFFFEF), (0.0, 0xFFFFFFFE)],
)
def test_threshold_of_a_rate(rate: float, word: int) -> None:
    """A rate becomes a word as the layout says."""
    assert config.threshold_of(rate) == word


def test_initial_words() -> None:
    """The worker's own rate and filters give each name its initial word."""
    words = config.initial_words(
        config.WorkerConfig(sampling_rate=0.5, allow=("a.*",), deny=("a.b.*",))
    )
    assert words is not None
    assert words("a.c") == 1 << 31
    assert words("a.b.c") == _ring.WORD_DENIED
    assert words("other") == _ring.WORD_DENIED
    assert config.initial_words(config.WorkerConfig()) is None
