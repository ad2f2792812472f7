"""How often a comparison of a mean with a bound is wrong, with a look after every block, and how often it decides.

A rule passes where both wrong answers are as rare as it says: their numbers are below what a rule of that error rate
exceeds with probability `FALSE_ALARM`, all checks of one law together. The controls are rules that people use.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from alarm import FALSE_ALARM, spend
from scipy.stats import binom, t

from sdewm import Outcome
from sdewm.stats import Above, BelowByMoment, BelowByRange, CentralLimit, compare_mean
from sdewm.stats.evidence import Evidence

Array = np.ndarray
LEVEL, REPETITIONS, BLOCKS, PATHS = 0.95, 1000, 10, 256
ALPHA = (1.0 - LEVEL) / 2.0
# The bound over the truth: 20 % below it, at it, and 20 % above it.
BOUNDS = {"far below": 1.0 / 0.8, "at": 1.0, "far above": 1.0 / 1.2}
VIOLATED, HOLDS = 0, 1


@dataclass(frozen=True)
class Law:
    """A law of Z >= 0 with its mean and second moment."""

    draw: Callable[[np.random.Generator, tuple[int, int]], Array]
    mean: float
    second: float = math.inf
    largest: float | None = None

    @property
    def variance(self) -> float:
        """Var Z."""
        return self.second - self.mean**2

    def certificates(self) -> dict[str, dict[str, float]]:
        """All that may be known of Z, by name."""
        found: dict[str, dict[str, float]] = {"none": {}}
        if self.largest is not None:
            found["range"] = {"largest": self.largest}
        if math.isfinite(self.second):
            found["second moment"] = {"second_moment": self.second}
            found["variance"] = {"variance": self.variance}
        return found


def lognormal(sigma: float) -> Law:
    """|x|² of a geometric Brownian motion."""
    return Law(lambda rng, n: np.exp(sigma * rng.standard_normal(n)), math.exp(sigma**2 / 2), math.exp(2 * sigma**2))


def pareto(index: float) -> Law:
    """P(Z > z) = z^−index for z >= 1."""
    second = index / (index - 2.0) if index > 2.0 else math.inf
    return Law(lambda rng, n: rng.random(n) ** (-1.0 / index), index / (index - 1.0), second)


LAWS = {
    "squared normal": Law(lambda rng, n: rng.standard_normal(n) ** 2, 1.0, 3.0),
    "uniform": Law(lambda rng, n: rng.random(n), 0.5, 1.0 / 3.0, 1.0),
    "rare event": Law(lambda rng, n: (rng.random(n) < 0.05) * 1.0, 0.05, 0.05, 1.0),
    "lognormal 1": lognormal(1.0),
    "lognormal 1.5": lognormal(1.5),
    "lognormal 2": lognormal(2.0),
    "Pareto 2.5": pareto(2.5),
    "Pareto 1.5": pareto(1.5),
}
HEAVY = ("lognormal 1.5", "lognormal 2", "Pareto 2.5", "Pareto 1.5")


def blocks_of(law: Law) -> Iterator[Array]:
    """(PATHS, REPETITIONS) values a block."""
    rng = np.random.default_rng(0)
    for _ in range(BLOCKS):
        yield law.draw(rng, (PATHS, REPETITIONS))


def evidence_of(certificate: dict[str, float]) -> Evidence | None:
    """What `compare_mean` takes for it."""
    if not certificate:
        return None
    return BelowByRange(certificate["largest"]) if "largest" in certificate else BelowByMoment(**certificate)


# For each side a (BLOCKS, REPETITIONS) table of whether it would decide at that block.
Looks = tuple[Array, Array]


def counts(looks: Looks) -> tuple[int, int]:
    """How many repetitions end with violated and with holds, each at the first block at which either is decided."""
    ends = np.full(looks[0].shape[1], -1)
    for violated, holds in zip(*looks, strict=True):
        ends = np.where((ends < 0) & holds, HOLDS, ends)
        ends = np.where((ends < 0) & violated, VIOLATED, ends)
    return int((ends == VIOLATED).sum()), int((ends == HOLDS).sum())


def allowed(checks: int) -> int:
    """The most wrong answers of a rule whose rate is ALPHA, `checks` checks together."""
    return int(binom.isf(FALSE_ALARM / checks, REPETITIONS, ALPHA))


@cache
def looks_of(name: str) -> dict[tuple[str, str], Looks]:
    """The rule of `compare_mean`, for every certificate and bound, on all repetitions at once."""
    law, wanted = LAWS[name], -math.log(ALPHA)
    above, belows = Above(), {key: evidence_of(value) for key, value in law.certificates().items()}
    central = [CentralLimit() for _ in range(REPETITIONS)]
    up = {key: np.zeros((BLOCKS, REPETITIONS), bool) for key in BOUNDS}
    down = {(c, key): np.zeros((BLOCKS, REPETITIONS), bool) for c in belows for key in BOUNDS}
    for i, block in enumerate(blocks_of(law)):
        above.add(block)
        for one, values in zip(central, block.T, strict=True):
            one.add(values)
        for key, factor in BOUNDS.items():
            up[key][i] = above.log_evidence(factor * law.mean) >= wanted
        for certificate, below in belows.items():
            if below is not None:
                below.add(block)
                for key, factor in BOUNDS.items():
                    down[certificate, key][i] = below.log_evidence(factor * law.mean) >= wanted
    limits = np.array([one.upper(ALPHA) for one in central])
    for key, factor in BOUNDS.items():
        down["none", key][-1] = limits <= factor * law.mean
    return {(c, key): (up[key], down[c, key]) for c, key in down}


def naive_looks(name: str) -> dict[str, Looks]:
    """Stop as soon as Student's interval excludes the bound, as for a fixed number of paths."""
    law, total, squares, n = LAWS[name], 0.0, 0.0, 0
    up, down = ({key: np.zeros((BLOCKS, REPETITIONS), bool) for key in BOUNDS} for _ in range(2))
    for i, block in enumerate(blocks_of(law)):
        total, squares, n = total + block.sum(0), squares + (block**2).sum(0), n + PATHS
        half = t.isf(ALPHA, n - 1) * np.sqrt((squares / n - (total / n) ** 2) / (n - 1))
        for key, factor in BOUNDS.items():
            up[key][i] = total / n - half > factor * law.mean
            down[key][i] = total / n + half <= factor * law.mean
    return {key: (up[key], down[key]) for key in BOUNDS}


def wrong(looks: dict[str, Looks]) -> dict[str, int]:
    """Numbers of wrong answers by bound; at the bound itself both count."""
    found = {}
    for key in BOUNDS:
        violated, holds = counts(looks[key])
        found |= {f"{key}: violated": violated} if key != "far above" else {}
        found |= {f"{key}: holds": holds} if key != "far below" else {}
    return found


def of_certificate(name: str, certificate: str) -> dict[str, Looks]:
    """The looks of one law and certificate, by bound."""
    return {key: looks_of(name)[certificate, key] for key in BOUNDS}


CASES = [(name, certificate) for name, law in LAWS.items() for certificate in law.certificates()]


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_wrong_answers_are_rare(name: str) -> None:
    """For every law, certificate and bound, with a look after every block."""
    spend()
    certificates = LAWS[name].certificates()
    limit = allowed(4 * len(certificates))
    for certificate in certificates:
        found = wrong(of_certificate(name, certificate))
        assert max(found.values()) <= limit, f"{certificate}: {found}, at most {limit}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squared normal", "uniform", "lognormal 1", "Pareto 2.5"])
def test_power(name: str) -> None:
    """Certified limits decide nine in ten when the truth is 20 % off, with at most 2560 paths."""
    for certificate in LAWS[name].certificates():
        looks = of_certificate(name, certificate)
        assert counts(looks["far above"])[VIOLATED] >= 900, certificate
        assert certificate == "none" or counts(looks["far below"])[HOLDS] >= 900, certificate


@pytest.mark.slow
def test_power_without_a_certificate() -> None:
    """The central limit theorem says holds for a light tail, and seldom for a heavy one, which needs a certificate."""
    for name in ("squared normal", "uniform"):
        assert counts(of_certificate(name, "none")["far below"])[HOLDS] >= 800
    for name in HEAVY:
        assert counts(of_certificate(name, "none")["far below"])[HOLDS] <= 100


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_p_values_are_valid_whenever_one_stops(name: str) -> None:
    """The least of all p-values along the way, at the bound, is at most α with probability at most α."""
    spend()
    law, above, most = LAWS[name], Above(), np.zeros(REPETITIONS)
    for block in blocks_of(law):
        above.add(block)
        most = np.maximum(most, above.log_evidence(law.mean))
    for alpha in (0.001, 0.01, 0.1, 0.5):
        assert (np.exp(-most) <= alpha).sum() <= binom.isf(FALSE_ALARM / 4, REPETITIONS, alpha)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squared normal", "uniform"])
def test_stopping_when_the_usual_interval_pleases_fails_the_same_check(name: str) -> None:
    """Ten looks at a limit of one look: too many wrong answers of both kinds together, also for the lightest tails."""
    found = wrong(naive_looks(name))
    assert found["at: violated"] + found["at: holds"] > binom.isf(FALSE_ALARM, REPETITIONS, 2.0 * ALPHA), found


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_one_look_at_the_usual_interval_fails_it_for_a_heavy_tail(name: str) -> None:
    """256 paths, fixed beforehand, and no check of the tail: a false holds."""
    looks = naive_looks(name)["at"]
    assert counts((looks[0][:1], looks[1][:1]))[HOLDS] > allowed(1)


@pytest.mark.slow
def test_a_false_second_moment_fails_it() -> None:
    """What is certified is believed: 1.1 D² in place of 7.4 D², for a lognormal tail."""
    law, below = LAWS["lognormal 1.5"], BelowByMoment(second_moment=1.1 * LAWS["lognormal 1.5"].mean ** 2)
    holds = np.zeros((BLOCKS, REPETITIONS), bool)
    for i, block in enumerate(blocks_of(law)):
        below.add(block)
        holds[i] = below.log_evidence(law.mean) >= -math.log(ALPHA)
    assert counts((np.zeros_like(holds), holds))[HOLDS] > allowed(1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "certificate"), CASES)
def test_it_is_the_rule_of_the_library(name: str, certificate: str) -> None:
    """One at a time by `compare_mean`: the same answers after the same number of paths."""
    law, some = LAWS[name], 10
    samples = [block[:, :some] for block in blocks_of(law)]
    answers = {VIOLATED: Outcome.VIOLATED, HOLDS: Outcome.HOLDS, -1: Outcome.INCONCLUSIVE}
    for key, factor in BOUNDS.items():
        violated, holds = looks_of(name)[certificate, key]
        for i in range(some):
            first = [int(np.argmax(side[:, i])) if side[:, i].any() else BLOCKS for side in (violated, holds)]
            answer = -1 if min(first) == BLOCKS else VIOLATED if first[VIOLATED] <= first[HOLDS] else HOLDS
            result = compare_mean(
                (block[:, i] for block in samples),
                at_least=factor * law.mean,
                at_most=factor * law.mean,
                level=LEVEL,
                **law.certificates()[certificate],
            )
            assert result.outcome is answers[answer]
            assert result.n == PATHS * min(min(first) + 1, BLOCKS)
