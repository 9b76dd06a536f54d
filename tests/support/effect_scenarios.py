"""Control tested by effect: what is done, from a seed. Used by e2e and stress."""

import random
from pathlib import Path

from shmtel.policy.model import Rule, Sampling, Selector
from shmtel.policy.rules import slot_of
from support.acts import CALM, FRESH, USUAL
from support.effect import WAIT_S, EffectLine, all_applied, effect_line
from support.policy_model import draw_of, threshold_of
from support.random_policies import RATES, random_rules


def exact(seed: int, directory: Path, rounds: int) -> None:
    """Random policies, each waited for: what arrives then is what the model says."""
    draws = random.Random(seed)
    with effect_line(directory) as line:
        for round_ in range(1, rounds + 1):
            _change(line, draws)
            style = draws.choice((USUAL, USUAL, FRESH, CALM))
            if style == CALM:  # for workers that come when the policy is there
                line.workers.fork(1)
            line.workers.act(seed, round_, style)
            line.settle()
            line.check(seed, round_, [line.fleet_layer()], style)
            if style == CALM:
                line.begin_anew()
        line.check_accounts()


def _change(line: EffectLine, draws: random.Random) -> None:
    """Change the policy in one of the ways that there are, and wait."""
    rules = random_rules(draws, line.node, draws.randrange(1, 12))
    old = line.hub.policy.rules
    if draws.random() < 0.15 and old:
        all_applied(line.hub.remove_rule(draws.choice(old), wait=WAIT_S))
    elif draws.random() < 0.3:
        for rule in rules[:3]:
            scope = {"pool": rule.selector.pool, "service": rule.selector.service}
            action = rule.action
            if isinstance(action, Sampling):
                all_applied(
                    line.hub.update_sampling(
                        rule.selector.worker,
                        action.rate,
                        action.patterns,
                        node=rule.selector.node,
                        wait=WAIT_S,
                        **scope,
                    )
                )
    else:
        all_applied(line.hub.replace_rules(rules, wait=WAIT_S))
    assert all(slot_of(rule) for rule in line.hub.policy.rules)


def under_load(seed: int, directory: Path, changes: int) -> None:
    """Policies that change while workers emit: nothing is torn, nothing twice."""
    draws = random.Random(seed)
    ids = [f"load-{seed}-{n}" for n in range(200)]
    with effect_line(directory) as line:
        _sample(line, draws.choice(RATES[2:6]), wait=WAIT_S)
        rates = [_current_rate(line)]
        line.workers.begin_load(ids)
        for _ in range(changes):
            rates.append(draws.choice((*RATES[2:6], draws.uniform(0.2, 0.8))))
            _sample(line, rates[-1], wait=draws.choice((None, WAIT_S)))
        emitted = line.workers.end_load()
        line.settle()
        _check_spans(line)
        _check_ids(line, emitted, rates)
        assert not line.arrivals.repeated
        line.check_accounts()
        _change(line, draws)
        line.workers.act(seed, 1)
        line.settle()
        line.check(seed, 1, [line.fleet_layer()])
        line.check_accounts()


def _sample(line: EffectLine, rate: float, wait: float | None) -> None:
    report = line.hub.replace_rules([Rule(Selector(), Sampling(rate))], wait=wait)
    if wait is not None:
        all_applied(report)


def _current_rate(line: EffectLine) -> float:
    (rule,) = line.hub.policy.rules
    assert isinstance(rule.action, Sampling)
    return rule.action.rate


def _check_spans(line: EffectLine) -> None:
    """Every span has both its events, or none."""
    torn = [
        (span, names)
        for span, names in line.arrivals.spans.items()
        if {name.rpartition(".")[0] for name in names} <= {"load.task", "load.alone"}
        and sorted(name.rpartition(".")[2] for name in names) != ["start", "stop"]
    ]
    assert not torn, (len(torn), torn[:5])
    assert line.arrivals.names["load.alone.start"] > 0


def _check_ids(
    line: EffectLine, emitted: list[dict[str, int]], rates: list[float]
) -> None:
    """What every rate keeps is there in full, what none keeps is not there."""
    thresholds = [threshold_of(rate) or 0 for rate in rates]
    wrong = []
    kept = left_out = 0
    for worker, counts in enumerate(emitted):
        for correlation_id, count in counts.items():
            draw = draw_of(correlation_id)
            arrived = line.arrivals.by_id[f"w-{worker}", correlation_id]
            if draw >= max(thresholds):
                kept += 1
                wrong += [] if arrived == count else [(correlation_id, arrived, count)]
            elif draw < min(thresholds):
                left_out += 1
                wrong += [] if not arrived else [(correlation_id, arrived, 0)]
    assert not wrong, (len(wrong), wrong[:5])
    assert kept
    assert left_out
