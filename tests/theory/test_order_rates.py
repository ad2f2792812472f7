"""How often the order test is wrong, and how often it catches a missing term, over many repetitions."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from systems import elementwise
from torch import Tensor

from sdewm.drifts import DoubleWell
from sdewm.dynamics import LatentSDE, RepresentationError, Terms
from sdewm.grid import TimeGrid
from sdewm.theory.effect import effect_problem
from sdewm.theory.remainder import measure_remainders
from sdewm.verdict import Outcome

HOLDS, VIOLATED = Outcome.HOLDS, Outcome.VIOLATED
SIZES = (0.0125, 0.025, 0.05, 0.1)
PATHS = 1024


def tilted(x: Tensor) -> Tensor:
    """x⁴/4 − .3x."""
    return (x**4 / 4 - 0.3 * x).sum(-1)


def tally(
    system: LatentSDE,
    error: RepresentationError,
    loss: Callable[[Tensor], Tensor],
    left_out: tuple[str, ...],
    repetitions: int,
    antithetic: bool = False,
    sizes: tuple[float, ...] = SIZES,
) -> dict[str, Counter[Outcome]]:
    """Verdicts of the correct form and of those without one term, on the same paths, seed by seed."""
    problem = effect_problem(system, error, loss, 0.6, TimeGrid(1.0, 16), PATHS, extrapolate=False)
    forms = {"correct": Terms(), **{name: Terms.without(name) for name in left_out}}
    counts: dict[str, Counter[Outcome]] = {name: Counter() for name in forms}
    for seed in range(repetitions):
        found = measure_remainders(replace(problem, seed=seed), forms, sizes, antithetic=antithetic)
        for name, count in counts.items():
            count[found.verdict(name).outcome] += 1
    return counts


@pytest.mark.slow
def test_rates_for_shared_noise() -> None:
    """400 repetitions of 1024 paths: the correct form is violated at most once, each wrong one in at least 99 %.

    What the correct form misses is zero, and not at the border of 5 %: the bound of 1 in 1000 is far from attained.
    """
    names = ("ito_correction", "mixed", "drift_hessian", "half")
    counts = tally(DoubleWell(), RepresentationError(diffusion=elementwise), tilted, names, 400)
    assert counts["correct"][VIOLATED] <= 1
    assert counts["correct"][HOLDS] >= 396
    for name in names:
        assert counts[name][VIOLATED] >= 396, (name, counts[name])
        assert counts[name][HOLDS] == 0


@pytest.mark.slow
def test_rates_for_independent_noise_in_pairs() -> None:
    """100 repetitions: the mixed terms are an integral of mean zero over noise that the base does not know.

    A form without them is right, then, and must not be called violated; those without Hessian or its half must.
    """
    error = RepresentationError(diffusion=elementwise, correlation="independent")
    names = ("mixed", "drift_hessian", "half")
    counts = tally(DoubleWell(), error, tilted, names, 100, True, tuple(eps / 2 for eps in SIZES))
    for name in ("correct", "mixed"):
        assert counts[name][VIOLATED] <= 1, (name, counts[name])
    assert counts["correct"][HOLDS] >= 99
    for name in names[1:]:
        assert counts[name][VIOLATED] >= 99, (name, counts[name])
