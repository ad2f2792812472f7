"""How often the intervals of each method hold the exact moments of the Euler scheme: no bias enters.

A method passes if the number of hits lies in the central region of the binomial law, which a correct interval leaves
with probability `FALSE_ALARM`. The controls are intervals that forget how paths depend on each other, or how skewed
replicates are: of one geometric Brownian motion alone, the worst case, they are as skewed as exponential variables.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from alarm import FALSE_ALARM, spend
from scipy.stats import binom
from torch import Tensor

from sdewm.drifts import Geometric
from sdewm.dynamics import RepresentationError
from sdewm.dynamics.noise import Antithetic
from sdewm.dynamics.sobol import Sobol
from sdewm.dynamics.total_noise import TotalNoise
from sdewm.dynamics.variation import Terms
from sdewm.estimate import Estimate, Moments, student_bounds
from sdewm.grid import TimeGrid
from sdewm.stats import telescoped
from sdewm.theory.effect import Effect, effect_problem
from sdewm.theory.methods import coefficient_columns, fixed, level_weights, levels_of, reach, sample

A, B, C, STEPS, DIM = -0.5, 0.3, 0.5, 8, 4
REPETITIONS = 500
MANY = 2000  # so many tell 95 % from the 91 % of an interval that ignores the skewness


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return (x**2).sum(-1)


def constant(t: Tensor, x: Tensor) -> Tensor:
    """The diffusion error."""
    return torch.full_like(x, C)


def euler(steps: int) -> tuple[float, float]:
    """P and Q + S/2 of Euler steps of dx_i = A x_i dt + B x_i dB^i + ε C dB^i from 1, i = 1 … 4, by recursion."""
    h, x, xy, yy = 1.0 / steps, 1.0, 0.0, 0.0
    for _ in range(steps):
        growth = (1 + A * h) ** 2 + B**2 * h
        x, xy, yy = (1 + A * h) * x, growth * xy + B * C * h * x, growth * yy + C**2 * h
    return DIM * 2 * xy, DIM * yy


TRUTH = tuple(2 * a - b for a, b in zip(euler(STEPS), euler(STEPS // 2), strict=True))
PROBLEM = effect_problem(
    Geometric(A, B, DIM), RepresentationError(diffusion=constant), square, 1.0, TimeGrid(1.0, STEPS), 512
)

ALONE = replace(PROBLEM, system=Geometric(A, B, 1), x0=PROBLEM.x0[:1])
TRUTH_ALONE = tuple(value / DIM for value in TRUTH)

Run = Callable[[int], tuple[Estimate, Estimate]]
Interval = Callable[[Estimate], tuple[float, float]]


def of_fixed(name: str, paths: int, seed: int, problem: Effect = PROBLEM) -> tuple[Estimate, Estimate]:
    """A method with a given number of paths."""
    return fixed(replace(problem, paths=paths, seed=seed), Terms(), name)[1].targets


def of_replicates(noise: Sobol, count: int, seed: int) -> tuple[Estimate, Estimate]:
    """A given number of replicates for the problem in one dimension."""
    return sample(replace(ALONE, noise=noise, paths=count * noise.points, seed=seed), Terms()).targets


def of_levels(seed: int) -> tuple[Estimate, Estimate]:
    """Two levels of 512 and 256 paths."""
    levels = [replace(level, paths=512 // (i + 1), seed=2 * seed + i) for i, level in enumerate(levels_of(PROBLEM))]
    samples = [sample(level, Terms()) for level in levels]
    parts = [samples[0].coefficients, samples[1].corrections]
    p, q, s = telescoped(parts, level_weights(levels, extrapolated=True))
    return p, q + 0.5 * s


def to_tolerance(name: str, seed: int, problem: Effect = PROBLEM) -> tuple[Estimate, Estimate]:
    """Pilot, choice of numbers, run, and another run where the first was too short."""
    return reach(replace(problem, seed=seed), Terms(), name, 0.1)[1].targets


def forgetful(problem: Effect, seed: int) -> tuple[Estimate, Estimate]:
    """Paths that depend on each other, counted as if they did not."""
    ready = replace(problem, seed=seed)
    columns = ready.paths_of_block({"varied": ready.variations()}, partial(coefficient_columns, ready))
    p, q, s, *_ = Moments.of(columns.numpy()).estimates()
    return p, q + 0.5 * s


def student(estimate: Estimate) -> tuple[float, float]:
    """The interval that knows nothing of skewness."""
    low, high = (bound * estimate.standard_error for bound in student_bounds(estimate.n - 1, 0.95))
    return estimate.value + low, estimate.value + high


def hits(
    run: Run, truth: Sequence[float] = TRUTH, repetitions: int = REPETITIONS, interval: Interval = Estimate.interval
) -> tuple[int, int]:
    """How many of the 95 % intervals hold P and Q + S/2."""
    counts = [0, 0]
    for seed in range(repetitions):
        for j, (estimate, value) in enumerate(zip(run(seed), truth, strict=True)):
            low, high = interval(estimate)
            counts[j] += low <= value <= high
    return counts[0], counts[1]


def region(checks: int, repetitions: int = REPETITIONS) -> tuple[float, float]:
    """Numbers of hits that are likely for a correct interval, all checks together."""
    tail = FALSE_ALARM / checks / 2
    low, high = binom.ppf([tail, 1 - tail], repetitions, 0.95)
    return float(low), float(high)


def passes(counts: Iterable[int], repetitions: int = REPETITIONS) -> bool:
    """Whether both numbers of hits are likely."""
    low, high = region(2, repetitions)
    return all(low <= count <= high for count in counts)


RUNS: dict[str, Run] = {
    "plain": partial(of_fixed, "plain", 512),
    "antithetic": partial(of_fixed, "antithetic", 512),
    "controls": partial(of_fixed, "controls", 512),
    "sobol": partial(of_fixed, "sobol", 1024),
    "multilevel": of_levels,
    "sobol to a tolerance": partial(to_tolerance, "sobol"),
    "martingale to a tolerance": partial(to_tolerance, "martingale"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_intervals_cover(name: str) -> None:
    """Every method, at 95 %."""
    spend()
    repetitions = MANY if "sobol" in name else REPETITIONS
    counts = hits(RUNS[name], repetitions=repetitions)
    assert passes(counts, repetitions), f"{counts} of {repetitions}, likely are {region(2, repetitions)}"


SKEWED: dict[str, Run] = {
    "sobol": partial(of_fixed, "sobol", 1024, problem=ALONE),
    "sobol to a tolerance": partial(to_tolerance, "sobol", problem=ALONE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SKEWED)
def test_intervals_cover_where_replicates_are_skewed(name: str) -> None:
    """One geometric Brownian motion: 64 replicates of 16 points, and as many as a pilot asks for."""
    spend()
    counts = hits(SKEWED[name], TRUTH_ALONE, MANY)
    assert passes(counts, MANY), f"{counts} of {MANY}, likely are {region(2, MANY)}"


@pytest.mark.slow
def test_intervals_that_ignore_the_skewness_fail_the_same_check() -> None:
    """Student's, from as few replicates as a pilot allows where it sees no skewness."""
    assert not passes(hits(partial(of_replicates, Sobol(16), 16), TRUTH_ALONE, MANY, student), MANY)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [Antithetic(), Sobol(256)], ids=["pairs", "points"])
def test_intervals_that_forget_the_dependence_fail_the_same_check(noise: Antithetic | Sobol) -> None:
    """Pairs taken for independent, and points of a net taken for independent."""
    assert not passes(hits(partial(forgetful, replace(PROBLEM, noise=noise))))


def test_the_controls_of_this_problem_are_eight() -> None:
    """Four columns of noise, W_T and its square: what the methods run is what is meant."""
    member = PROBLEM.variations()
    columns = PROBLEM.paths_of_block(
        {"varied": member, "noise": TotalNoise(member)}, partial(coefficient_columns, PROBLEM)
    )
    assert columns.shape == (512, 22)
