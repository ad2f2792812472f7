"""The supremum bound against closed forms, the integral equation, and an exact maximum of two steps."""

import math

import numpy as np
import pytest
import torch
from exact_errors import SOME, setting
from scipy.integrate import quad

from sdewm import InvalidArgument, TimeGrid
from sdewm.theory.bounds import GronwallSpectral, LogNorm, Setting, Supremum

GRID = TimeGrid(1.0, 10)
TIMES = np.asarray(GRID.times)
QUIET = {"mu": 0.0, "spectral": 0.0, "diffusion": 0.0, "drift_error": 0.0, "diffusion_error": 0.0}
both = pytest.mark.parametrize("pointwise", ["own", "log-norm"])


@both
def test_constant_noise_is_twice_its_root_mean_square(pointwise: str) -> None:
    given, where = {**QUIET, "diffusion_error": 0.5}, Setting(GRID, 0.1, 0.3)
    exact = 0.3 + 2.0 * 0.05 * np.sqrt(TIMES)
    # The solver starts from above at a time of 1e-9, where the root is 3e-5 of what it is at the end.
    assert Supremum(pointwise).continuous(given, where) == pytest.approx(exact, rel=1e-6)
    assert Supremum(pointwise).discrete(given, where) == pytest.approx(exact)


@both
@pytest.mark.parametrize("start", [0.0, 0.3])
def test_without_noise_it_is_a_linear_equation(pointwise: str, start: float) -> None:
    given = {**QUIET, "mu": 0.8, "spectral": 0.8, "drift_error": 0.5}
    where = Setting(GRID, 0.1, start)
    exact = start * np.exp(0.8 * TIMES) + 0.05 * np.expm1(0.8 * TIMES) / 0.8
    assert Supremum(pointwise).continuous(given, where) == pytest.approx(exact, rel=1e-7, abs=1e-12)
    assert Supremum(pointwise).discrete(given, where) == pytest.approx(LogNorm().discrete(given, where))


def test_a_contraction_does_not_bring_the_maximum_down() -> None:
    given, where = {**QUIET, "mu": -2.0, "spectral": 2.0}, Setting(GRID, 0.1, 0.3)
    # r_0 + ∫ 2 · 0.3 e^{−2s} ds: bounded, where its own equation grows like e^{2t}.
    assert Supremum().continuous(given, where) == pytest.approx(0.3 + 0.3 * -np.expm1(-2.0 * TIMES), rel=1e-7)
    assert Supremum("own").continuous(given, where) == pytest.approx(0.3 * np.exp(2.0 * TIMES), rel=1e-7)


@both
@pytest.mark.parametrize("rho", [0.0, 1.0])
@pytest.mark.parametrize("start", [0.0, 0.3])
def test_the_solution_solves_the_integral_equation(pointwise: str, rho: float, start: float) -> None:
    fine = TimeGrid(1.0, 4000)
    where = Setting(fine, 0.1, start, rho)
    curve = Supremum(pointwise).continuous(SOME, where)
    r = curve if pointwise == "own" else LogNorm().continuous(SOME, where)
    lam, s, s_bar = 0.6, 0.08, 0.07
    noise = lam**2 * r**2 + 2.0 * rho * lam * r * s_bar + s_bar**2

    # The curve begins like a root: what is linear between the grid's times is taken as a function of √t.
    t = np.asarray(fine.times)
    roots, weights = np.diff(np.sqrt(t)), np.diff(t**1.5) * 2.0 / 3.0 - np.sqrt(t[:-1]) * fine.h

    def integral(f: np.ndarray) -> np.ndarray:
        return np.concatenate(([0.0], np.cumsum(f[:-1] * fine.h + np.diff(f) / roots * weights)))

    right = start + integral(1.2 * r + s) + 2.0 * np.sqrt(integral(noise))
    assert curve[40:] == pytest.approx(right[40:], rel=1e-6 if start else 2e-5)
    # Control: without the cross term, or with Doob's constant 1, it is another equation.
    if rho:
        less = start + integral(1.2 * r + s) + 2.0 * np.sqrt(integral(lam**2 * r**2 + s_bar**2))
        assert (curve[40:] > less[40:] * 1.001).all()
    assert (curve[40:] > (right - np.sqrt(integral(noise)))[40:] * 1.01).all()


@pytest.mark.parametrize("start", [0.0, 0.3])
def test_its_own_equation_is_the_looser_one(start: float) -> None:
    where = setting(GRID, start)
    for side in ("continuous", "discrete"):
        own, best = (getattr(Supremum(p), side)(SOME, where) for p in ("own", "log-norm"))
        at_a_time = getattr(GronwallSpectral(), side)(SOME, where)
        assert (own >= best * (1.0 - 1e-9)).all()
        assert (best[1:] > getattr(LogNorm(), side)(SOME, where)[1:]).all()
        assert (own[1:] > at_a_time[1:]).all()
        assert (np.diff(best) > 0.0).all()


def test_the_two_of_doob_is_needed_to_prove_and_one_is_false() -> None:
    # E max(|ξ₁|, |ξ₁ + ξ₂|)² of two steps of pure noise, in polar coordinates: E|ξ|² = 2 times a mean over angles.
    def largest(angle: float) -> float:
        return max(math.cos(angle) ** 2, (math.cos(angle) + math.sin(angle)) ** 2)

    exact = 2.0 * quad(largest, 0.0, math.pi, limit=200)[0] / math.pi  # period π
    curve = Supremum().discrete({**QUIET, "diffusion_error": 1.0}, Setting(TimeGrid(2.0, 2), 1.0))
    assert 2.0 < exact < curve[-1] ** 2
    assert curve[-1] ** 2 == pytest.approx(8.0)
    # Control: with the constant 1 the curve is the root mean square at the end, which the maximum exceeds.
    assert exact > (curve[-1] / 2.0) ** 2 * 1.1


def test_what_is_observed_is_a_running_maximum() -> None:
    e = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]])
    assert Supremum().observed(e).tolist() == [25.0, 4.0]
    assert Supremum().running
    assert not LogNorm().running
    with pytest.raises(InvalidArgument, match=r"\(times, paths, dim\)"):
        Supremum().observed(e[0])


def test_it_is_one_of_two() -> None:
    with pytest.raises(InvalidArgument, match="pointwise must be one of"):
        Supremum("exact")
    assert "mu" not in Supremum("own").constants
    assert "mu" in Supremum().constants
    assert len(Supremum("own").hypotheses) == len(Supremum().hypotheses) - 1
