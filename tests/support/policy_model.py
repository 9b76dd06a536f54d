"""What a policy means, said as naively as possible.

A second opinion on shmtel.policy.verdicts for tests: it reads the rules one by
one for each question, compiles and remembers nothing, and shares no code with
what it judges but the plain data of the rules.

    fate(layers, traits, name, now_ns) -> DISABLED, DENIED, OWN, or a rate
    keeps(rate, draw_of("some-correlation-id")) -> whether an event survives
"""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from shmtel.policy.model import Filter, Layer, Rule, Sampling, Toggle, Traits

DISABLED = "disabled"
DENIED = "denied"
OWN = "own"  # no rule: the worker's own setting
Fate = str | float

_DRAW_MAX = 0xFFFFFFEF
_MASK = 2**64 - 1
_PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def fate(
    layers: Sequence[Layer],
    traits: Traits,
    name: str,
    now_ns: int,
    own_rate: float = 1.0,
) -> Fate:
    """Return what happens to an event of a name that a worker emits.

    Args:
        own_rate: the rate that the worker was configured with itself.
    """
    if not is_on(layers, traits, now_ns):
        return DISABLED
    if is_denied(layers, traits, name, now_ns):
        return DENIED
    rate = rate_of(layers, traits, name, now_ns, own_rate)
    return OWN if rate is None else rate


def is_on(layers: Sequence[Layer], traits: Traits, now_ns: int) -> bool:
    """Say whether a worker is on: guards may switch off, the topmost toggle rules."""
    state = True
    for layer in layers:
        for rule in counting(layer, traits, now_ns):
            if isinstance(rule.action, Toggle) and not layer.is_guard:
                state = rule.action.enabled
    return state and not any(
        rule.action == Toggle(False)
        for layer in layers
        if layer.is_guard
        for rule in counting(layer, traits, now_ns)
    )


def is_denied(layers: Sequence[Layer], traits: Traits, name: str, now_ns: int) -> bool:
    """Say whether a filter forbids a name."""
    in_force: list[Filter] = []
    for layer in layers:
        filters = _filters(layer, traits, now_ns)
        if layer.is_guard and _forbid(filters, name):
            return True
        if filters and not layer.is_guard:
            in_force = filters  # of the topmost layer that has any
    return _forbid(in_force, name)


def rate_of(
    layers: Sequence[Layer],
    traits: Traits,
    name: str,
    now_ns: int,
    own_rate: float = 1.0,
) -> float | None:
    """Return the rate that rules set for a name; None: the worker's own counts."""
    rate: float | None = None
    limit = 1.0
    for layer in layers:
        for found in _rates(layer, traits, name, now_ns):
            if layer.is_guard:
                limit = min(limit, found)
            else:
                rate = found
    if rate is None:
        return limit if limit < own_rate else None
    return min(rate, limit)


def counting(layer: Layer, traits: Traits, now_ns: int) -> Iterator[Rule]:
    """Yield the rules of a layer that count for a worker, in order."""
    live = [r for r in layer.rules if r.expires_ns == 0 or r.expires_ns > now_ns]
    for index, rule in enumerate(live):
        is_covered = any(_is_same(rule, later) for later in live[index + 1 :])
        if not is_covered and _selects(rule, traits):
            yield rule


def threshold_of(rate: float) -> int | None:
    """Return the threshold of a rate; None: nothing is kept."""
    if rate == 0:
        return None
    return min(round((1 - rate) * 2**32), _DRAW_MAX)


def keeps(rate: float, draw: int) -> bool:
    """Say whether an event of a draw survives a rate."""
    threshold = threshold_of(rate)
    return threshold is not None and draw >= threshold


def draw_of(correlation_id: str) -> int:
    """Return the draw of a correlation ID: XXH64, its high half, clamped."""
    return draw_of_bytes(correlation_id.encode())


def draw_of_bytes(data: bytes) -> int:
    """Return the draw of bytes, such as the id of a root span."""
    return min(_xxh64(data) >> 32, _DRAW_MAX)


def _is_same(one: Rule, other: Rule) -> bool:
    if one.selector != other.selector or type(one.action) is not type(other.action):
        return False
    if isinstance(one.action, Sampling) and isinstance(other.action, Sampling):
        return one.action.patterns == other.action.patterns
    return True


def _selects(rule: Rule, traits: Traits) -> bool:
    wanted = rule.selector
    return (
        fnmatchcase(traits.worker, wanted.worker)
        and fnmatchcase(traits.pool, wanted.pool)
        and fnmatchcase(traits.service, wanted.service)
        and fnmatchcase(traits.node, wanted.node)
    )


def _filters(layer: Layer, traits: Traits, now_ns: int) -> list[Filter]:
    rules = counting(layer, traits, now_ns)
    return [rule.action for rule in rules if isinstance(rule.action, Filter)]


def _forbid(filters: Iterable[Filter], name: str) -> bool:
    allow = [pattern for each in filters for pattern in each.allow]
    deny = [pattern for each in filters for pattern in each.deny]
    if any(fnmatchcase(name, pattern) for pattern in deny):
        return True
    return bool(allow) and not any(fnmatchcase(name, pattern) for pattern in allow)


def _rates(layer: Layer, traits: Traits, name: str, now_ns: int) -> Iterator[float]:
    for rule in counting(layer, traits, now_ns):
        if isinstance(rule.action, Sampling):
            patterns = rule.action.patterns or ("*",)
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                yield rule.action.rate


def _xxh64(data: bytes) -> int:
    """Hash with seed 0, word by word, as the algorithm is published."""
    p1, p2, p3, p4, p5 = _PRIMES
    rest = data
    if len(data) >= 32:
        lanes = [(p1 + p2) & _MASK, p2, 0, -p1 & _MASK]
        while len(rest) >= 32:
            words = [int.from_bytes(rest[i : i + 8], "little") for i in (0, 8, 16, 24)]
            lanes = [
                _round(lane, word) for lane, word in zip(lanes, words, strict=True)
            ]
            rest = rest[32:]
        turns = zip(lanes, (1, 7, 12, 18), strict=True)
        value = sum(_rotated(lane, bits) for lane, bits in turns) & _MASK
        for lane in lanes:
            value = ((value ^ _round(0, lane)) * p1 + p4) & _MASK
    else:
        value = p5
    value = (value + len(data)) & _MASK
    while len(rest) >= 8:
        value ^= _round(0, int.from_bytes(rest[:8], "little"))
        value = (_rotated(value, 27) * p1 + p4) & _MASK
        rest = rest[8:]
    if len(rest) >= 4:
        value ^= int.from_bytes(rest[:4], "little") * p1 & _MASK
        value = (_rotated(value, 23) * p2 + p3) & _MASK
        rest = rest[4:]
    for byte in rest:
        value ^= byte * p5 & _MASK
        value = _rotated(value, 11) * p1 & _MASK
    for shift, prime in ((33, p2), (29, p3), (32, 1)):
        value = (value ^ value >> shift) * prime & _MASK
    return value


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _PRIMES[1]) & _MASK, 31) * _PRIMES[0] & _MASK


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK
