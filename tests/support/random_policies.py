"""Policies from a seed, for workers and names as support/acts.py has them."""

import random

from shmtel.policy.model import Action, Filter, Rule, Sampling, Selector, Toggle
from support.acts import FAMILIES

RATES = (0.0, 0.001, 0.1, 0.25, 0.5, 0.9, 1.0)


def random_rules(draws: random.Random, node: str, count: int) -> list[Rule]:
    """Return rules of all kinds, for all kinds of selectors."""
    return [Rule(_selector(draws, node), _action(draws)) for _ in range(count)]


def _selector(draws: random.Random, node: str) -> Selector:
    everybody = draws.random() < 0.4
    if everybody:
        return Selector()
    field = draws.choice(("worker", "pool", "service", "node"))
    glob = {
        "worker": draws.choice(("w-*", "w-[0-3]", f"w-{draws.randrange(8)}", "x-*")),
        "pool": draws.choice(("p-0", "p-[12]", "p-?", "P-0")),
        "service": draws.choice(("s-0", "s-1", "s*")),
        "node": draws.choice((node, f"{node[:1]}*", "elsewhere")),
    }[field]
    return Selector(**{field: glob})


def _action(draws: random.Random) -> Action:
    kind = draws.random()
    if kind < 0.06:
        return Toggle(False)
    if kind < 0.14:
        return Toggle(True)
    if kind < 0.75:
        return Sampling(draws.choice((*RATES, draws.random())), _patterns(draws))
    deny = tuple(_glob(draws) for _ in range(draws.randrange(3)))
    allow = ("*",) if draws.random() < 0.3 else ()
    if not allow and draws.random() < 0.15:
        allow = tuple(f"{family}.*" for family in draws.sample(FAMILIES, 6))
    return Filter(allow, deny)


def _patterns(draws: random.Random) -> tuple[str, ...]:
    if draws.random() < 0.25:
        return ()
    return tuple(_glob(draws) for _ in range(draws.randrange(1, 4)))


def _glob(draws: random.Random) -> str:
    family = draws.choice(FAMILIES)
    digit = draws.randrange(10)
    return draws.choice(
        (
            f"{family}.*",
            f"{family}.op{digit}*",
            f"{family}.op?.tick",
            f"{family}.task[0-{digit}].*",
            f"{family}.task*.st*",
            f"*.task{digit % 4}.stop",
            "*.exception",
            f"{family}.op{digit}.tick",
        )
    )
