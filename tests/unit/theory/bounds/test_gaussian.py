"""Gaussian concentration where the error is exactly Gaussian, and what it refuses."""

import math

import numpy as np
import pytest
import torch
from exact_errors import is_below, scalar
from scipy.stats import chi, norm

from sdewm import InvalidArgument, TimeGrid
from sdewm.theory.bounds import GaussianQuantile, Setting

GRID = TimeGrid(2.0, 40)
TIMES = np.asarray(GRID.times)


def place(grid: TimeGrid = GRID, eps: float = 0.1) -> Setting:
    return Setting(grid, eps, random_base=False, additive_error=True)


def constants(mu: float, size: float = 0.5) -> dict[str, float]:
    return {"mu": mu, "spectral": abs(mu), "diffusion_error_operator": size}


@pytest.mark.parametrize("mu", [-1.5, -1e-9, 0.0, 1e-9, 0.8])
def test_the_scale_is_the_standard_deviation_of_a_linear_error(mu: float) -> None:
    grown = TIMES if abs(mu) < 1e-6 else np.expm1(2.0 * mu * TIMES) / (2.0 * mu)
    assert GaussianQuantile().continuous(constants(mu), place()) == pytest.approx(0.05 * np.sqrt(grown), rel=1e-7)
    exact = np.sqrt(scalar(GRID, mu, 0.0, 0.0, 0.5, 0.0, eps=0.1)[:, 2])
    assert GaussianQuantile().discrete(constants(mu), place()) == pytest.approx(exact)


@pytest.mark.parametrize("probability", [1.0, 0.5, 0.05, 1e-3, 1e-6])
def test_the_quantile_covers_a_half_normal_error(probability: float) -> None:
    bound, sd = GaussianQuantile(), GaussianQuantile().discrete(constants(-1.0), place())[1:]
    mean = sd * math.sqrt(2.0 / math.pi)
    level = bound.quantile(constants(-1.0), place(), probability, np.concatenate(([0.0], mean)))[1:]
    exceeded = 2.0 * norm.sf(level / sd)
    assert (exceeded <= probability).all()
    # Control: exp(−a²/(ε²v²)), without the 2, is false far out.
    if probability <= 1e-6:
        short = mean + (level - mean) / math.sqrt(2.0)
        assert (2.0 * norm.sf(short / sd) > probability).all()


@pytest.mark.parametrize("dim", [2, 20])
@pytest.mark.parametrize("probability", [0.5, 0.05, 1e-6])
def test_the_quantile_covers_the_length_of_a_normal_vector(dim: int, probability: float) -> None:
    bound = GaussianQuantile()
    sd = float(bound.discrete(constants(-1.0), place())[-1])
    mean = sd * float(chi.mean(dim))
    level = bound.quantile(constants(-1.0), place(), probability, mean)[-1]
    assert float(chi.sf(level / sd, dim)) <= probability
    assert float(chi.std(dim)) <= 1.0  # the curve bounds the standard deviation of |e|
    # Control: the mean of |e| is part of the statement.
    if dim == 20:
        assert float(chi.sf((level - mean) / sd, dim)) > probability


def test_quantiles_of_the_equation_and_of_its_steps() -> None:
    steps = GaussianQuantile().quantile(constants(-1.0), place(), 0.05, 0.0)
    equation = GaussianQuantile().quantile(constants(-1.0), place(), 0.05, 0.0, discrete=False)
    assert steps == pytest.approx(
        GaussianQuantile().discrete(constants(-1.0), place()) * math.sqrt(2.0 * math.log(20.0))
    )
    assert equation == pytest.approx(
        GaussianQuantile().continuous(constants(-1.0), place()) * math.sqrt(2.0 * math.log(20.0))
    )


def test_steps_need_their_own_scale() -> None:
    coarse = TimeGrid(2.0, 5)
    exact = np.sqrt(scalar(coarse, -3.0, 0.0, 0.0, 0.5, 0.0, eps=0.1)[:, 2])
    assert is_below(exact, GaussianQuantile().discrete(constants(-3.0), place(coarse)))
    assert not is_below(exact, GaussianQuantile().continuous(constants(-3.0), place(coarse)))


def test_what_it_refuses() -> None:
    bound = GaussianQuantile()
    assert bound.refuses(place(), False, False, True) is None
    assert "e_0 = 0" in str(bound.refuses(place(), True, False, True))
    assert "σ = 0" in str(bound.refuses(place(), False, True, True))
    noisy = Setting(GRID, 0.1, additive_error=True)
    assert "base has noise" in str(bound.refuses(noisy, False, False, True))
    for where in (
        noisy,
        Setting(GRID, 0.1, random_base=False),
        Setting(GRID, 0.1, 1.0, random_base=False, additive_error=True),
    ):
        for curve in (bound.continuous, bound.discrete):
            with pytest.raises(InvalidArgument, match="quantile bound needs"):
                curve(constants(-1.0), where)
    for probability in (0.0, 1.5, math.nan):
        with pytest.raises(InvalidArgument, match="probability"):
            bound.quantile(constants(-1.0), place(), probability, 0.0)


def test_what_is_observed_has_the_variance_of_the_size_as_its_mean() -> None:
    e = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    assert torch.equal(GaussianQuantile().observed(e), torch.tensor([8.0]))  # of the first pair, ½ (5 − 1)²
    sizes = torch.tensor([[0.0], [1.0], [3.0]])
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3)).flatten()
    assert float(GaussianQuantile().observed(sizes[pairs]).mean()) == pytest.approx(float(sizes.var(correction=0)))
    with pytest.raises(InvalidArgument, match="paths must be at least 2"):
        GaussianQuantile().observed(sizes[:1])
