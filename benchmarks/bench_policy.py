"""What a policy costs a collector between its arrival and the first word, in CPU.

1,000 rules, toggles, rates and filters mixed, for 64 workers with 256 event names
each. In one scenario the rules select by worker id, so that every worker comes to
a ruling of its own; in the other they select all workers, who share one. Each
round reads the policy from its bytes, judges it, and works out every word; the
globs of a third scenario are new in each round, so that nothing is known of them.
"""

import random
from collections.abc import Callable
from statistics import median
from time import process_time_ns

from measure import report, row

RULES, WORKERS, NAMES = 1_000, 64, 256
ROUNDS = 15
_VERBS = ("start", "stop", "exception", "retry")
_names = [
    f"{_part}.op{_i}.{_verb}"
    for _part in ("tool", "db", "http", "gc")
    for _i in range(NAMES // 16)
    for _verb in _VERBS
]


def _rules(seed: int, is_for_all: bool, is_new: bool) -> bytes:
    """Return a policy as it crosses the stream."""
    from shmtel.policy.model import Filter, Policy, Rule, Sampling, Selector, Toggle
    from shmtel.wire.codec import encode_policy

    chance = random.Random(seed if is_new else 1)
    rules = []
    for number in range(RULES):
        op = chance.randrange(NAMES // 16)
        patterns = (f"tool.op{op}.*", f"*.op{op}.stop", f"d?.op{op}*")[: number % 3 + 1]
        if is_new:
            patterns = (*patterns, f"?.{chance.getrandbits(60)}[ab]*")
        actions = (
            Sampling(chance.random(), patterns),
            Filter((), patterns),
            Toggle(number % 2 == 0),
        )
        worker = "*" if is_for_all else f"w-{chance.randrange(WORKERS)}"
        pool = "*" if is_for_all or number % 2 else f"pool-{number % 4}"
        rules.append(Rule(Selector(worker, pool), actions[number % 3]))
    return encode_policy(Policy(1, tuple(rules), "o"))


def _work_out(data: bytes) -> int:
    """Do what a collector does with a policy; return the number of words."""
    from shmtel.policy.model import FLEET, Layer, Traits
    from shmtel.policy.rules import judge
    from shmtel.policy.verdicts import Judge
    from shmtel.wire.codec import decode_policy

    policy = decode_policy(data)
    judge(policy.rules)
    verdicts = Judge([Layer(FLEET, policy.rules)], 0)
    words = set()
    for number in range(WORKERS):
        traits = Traits(f"w-{number}", f"pool-{number % 4}", "service", "node")
        ruling = verdicts.of_worker(traits)
        words.update(ruling.of_event(name).word for name in _names)
    return len(words)


def _milliseconds(policy: Callable[[int], bytes]) -> list[float]:
    times = []
    for number in range(ROUNDS):
        data = policy(number)
        start_ns = process_time_ns()
        assert _work_out(data) > 1
        times.append((process_time_ns() - start_ns) / 1e6)
    return times


def main() -> None:
    """Measure, and print the result."""
    scenarios = {
        "each worker with rules of its own": lambda seed: _rules(seed, False, False),
        "all workers with the same rules": lambda seed: _rules(seed, True, False),
        "globs that were never seen": lambda seed: _rules(seed, False, True),
    }
    times = {name: _milliseconds(policy) for name, policy in scenarios.items()}
    rows = [
        row(f"1,000 rules, 64 x 256 words: {name}", median(found), bar, "ms CPU")
        for (name, found), bar in zip(times.items(), (60, 20, 150), strict=True)
    ]
    rounded = {name: [round(t, 1) for t in found] for name, found in times.items()}
    report(rows, {"rounds_ms": rounded})


if __name__ == "__main__":
    main()
