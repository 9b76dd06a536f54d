"""What emit and span cost the worker, against msgspec and an empty C call.

The arguments are built beforehand and passed by position. The yardstick is
msgspec encoding the same event; the floor of "off" is an empty C function that
takes the same arguments. The ring (1 MiB) is drained by this process between
the timed chunks, so that its memory is as warm as under a collector.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType

import msgspec
from measure import (
    CORRELATION_ID,
    EVENT,
    MEASUREMENTS,
    METADATA,
    interleave,
    report,
    row,
    size,
    summary,
)

ROUNDS = size(300, 3)
OPERATIONS = 3000
RULES = 1000

_FLAT = [17, 123456, 1700000000000000000, CORRELATION_ID, MEASUREMENTS, METADATA]


def _load_empty(directory: str) -> ModuleType:
    path = Path(directory) / "empty.so"
    include = sysconfig.get_path("include")
    source = Path(__file__).with_name("empty.c")
    flags = ["-O3", "-shared", "-fPIC", f"-I{include}"]
    subprocess.run(["cc", *flags, str(source), "-o", str(path)], check=True)
    spec = importlib.util.spec_from_file_location("empty", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _repeat_emit(function: Callable[..., object]) -> Callable[[int], None]:
    def run(operations: int) -> None:
        for _ in range(operations):
            function(EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)

    return run


def _repeat_yardstick(operations: int) -> None:
    encode = msgspec.msgpack.encode
    for _ in range(operations):
        encode(_FLAT)


def _repeat_span(operations: int) -> None:
    from shmtel import span

    for _ in range(operations):
        with span("tool.execution", METADATA, CORRELATION_ID):
            pass


def _words_of_rules(names: list[str]) -> dict[int, int]:
    """Return what a policy of many rules sets, one of which keeps the event."""
    from shmtel.policy.model import Layer, Rule, Sampling, Selector, Traits
    from shmtel.policy.verdicts import Judge

    actions = [Sampling(0.5, (f"rule.{index}.*",)) for index in range(RULES - 1)]
    actions.append(Sampling(0.999999, (EVENT,)))
    rules = tuple(Rule(Selector(), action) for action in actions)
    ruling = Judge([Layer("fleet", rules)], 0).of_worker(Traits())
    return {index: ruling.of_event(name).word for index, name in enumerate(names)}


def _recorded(empty: ModuleType) -> dict[str, list[float]]:
    """Measure with a ring: recorded, toggled off by the collector's word, spans."""
    import shmtel
    from shmtel import _ring, segments

    namespace = os.environ["SHMTEL_NAMESPACE"]
    shmtel.emit(EVENT, MEASUREMENTS, METADATA, CORRELATION_ID)
    (name,) = segments.POSIX.scan(namespace)
    consumer = _ring.Consumer(segments.POSIX.open(name, writable=True))
    totals = [0] * 32
    for index in range(RULES):
        shmtel.emit(f"rule.{index}.event", {})
    words = _words_of_rules(consumer.names(0))
    assert 0 < words[0] < 10_000, "the event is kept by a rule of its own"
    for event_id in range(1, RULES + 1):
        consumer.set_word(event_id, words[event_id])

    def drain() -> None:
        while (drained := consumer.drain(1 << 20)) is not None:
            totals[0] += drained.delivered
            consumer.settle(drained.position, drained.seq_last, totals)

    def toggled_off(operations: int) -> None:
        consumer.set_enabled(_ring.RING_OFF)
        _repeat_emit(shmtel.emit)(operations)
        consumer.set_enabled(_ring.RING_ON)

    def under_rules(operations: int) -> None:
        consumer.set_word(0, words[0])
        _repeat_emit(shmtel.emit)(operations)
        consumer.set_word(0, _ring.WORD_UNSET)

    try:
        times = interleave(
            {
                "yardstick": _repeat_yardstick,
                "empty": _repeat_emit(empty.empty),
                "emit": _repeat_emit(shmtel.emit),
                "emit_under_rules": under_rules,
                "toggled_off": toggled_off,
                "span": _repeat_span,
            },
            rounds=ROUNDS,
            operations=OPERATIONS,
            between=drain,
        )
    finally:
        segments.POSIX.unlink(name)
    stats = shmtel.stats()
    # One to begin with, one for each rule's name; emits twice, two events a span.
    expected = 1 + RULES + 4 * ROUNDS * OPERATIONS
    assert stats["committed"] == expected, stats
    assert stats["disabled"] == ROUNDS * OPERATIONS, stats
    return times


def _unset(empty: ModuleType) -> dict[str, list[float]]:
    """Measure in a process where the variable is unset."""
    import shmtel

    return interleave(
        {"empty": _repeat_emit(empty.empty), "emit": _repeat_emit(shmtel.emit)},
        rounds=ROUNDS,
        operations=OPERATIONS,
    )


def _ratio(times: dict[str, list[float]], name: str, rival: str) -> float:
    return median(times[name]) / median(times[rival])


def _run_unset() -> None:
    """Print the two medians; a process of its own, since the variable is read once."""
    with tempfile.TemporaryDirectory() as directory:
        times = _unset(_load_empty(directory))
    print(median(times["emit"]), median(times["empty"]))


def main() -> None:
    """Measure, and print the JSON."""
    if sys.argv[1:] == ["--unset"]:
        return _run_unset()
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SHMTEL_")}
    unset, floor = map(
        float,
        subprocess.check_output(
            [sys.executable, __file__, "--unset"], env=bare
        ).split(),
    )
    os.environ.update(SHMTEL_ENABLED="1", SHMTEL_NAMESPACE=f"bench-{os.getpid()}")
    with tempfile.TemporaryDirectory() as directory:
        times = _recorded(_load_empty(directory))
    report(
        [
            row("emit, recorded", _ratio(times, "emit", "yardstick"), 0.9, "x msgspec"),
            row(
                f"emit under {RULES:,} rules",
                _ratio(times, "emit_under_rules", "emit"),
                1.05,
                "x emit under none",
            ),
            row("emit, variable unset", unset / floor, 1.3, "x empty C call"),
            row(
                "emit, toggled off with a ring",
                _ratio(times, "toggled_off", "empty"),
                1.3,
                "x empty C call",
            ),
            row("span, start and stop", _ratio(times, "span", "yardstick"), 3.5,
                "x msgspec"),
        ],
        {
            "ring_size": "1MiB",
            "rounds": ROUNDS,
            "operations": OPERATIONS,
            **{name: summary(values) for name, values in times.items()},
        },
    )  # fmt: skip
    return None


if __name__ == "__main__":
    main()
