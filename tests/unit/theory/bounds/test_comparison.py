"""The comparison equation against closed forms, and against its separated form by quadrature."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from sdewm import TimeGrid
from sdewm.theory.bounds.comparison import ahead, compare
from sdewm.theory.bounds.steps import recursion, step_growth

GRID = TimeGrid(2.0, 8)
TIMES = np.asarray(GRID.times)


@pytest.mark.parametrize("rate", [-3.0, -1e-9, 0.0, 0.7, 5.0])
@pytest.mark.parametrize("initial", [0.0, 1e-200, 1e-8, 2.0])
def test_without_a_linear_part(rate: float, initial: float) -> None:
    grown = TIMES if rate == 0.0 else np.expm1(rate * TIMES) / rate
    exact = np.sqrt(initial**2 * np.exp(rate * TIMES) + 0.4 * grown)
    assert compare(rate, 0.0, 0.4, initial, GRID) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("rate", [-3.0, 0.0, 0.7])
@pytest.mark.parametrize("initial", [0.0, 2.0])
def test_without_a_constant_part(rate: float, initial: float) -> None:
    half = rate / 2.0
    grown = TIMES if rate == 0.0 else np.expm1(half * TIMES) / half
    assert compare(rate, 0.6, 0.0, initial, GRID) == pytest.approx(initial * np.exp(half * TIMES) + 0.3 * grown)


@pytest.mark.parametrize("rate", [-1.0, 0.0, 0.7])
@pytest.mark.parametrize("initial", [0.0, 0.5])
def test_the_time_that_it_takes(rate: float, initial: float) -> None:
    # t = ∫ 2 r dr / (rate r² + linear r + constant) from r(0) to r(t)
    for t, r in zip(TIMES[1:], compare(rate, 0.6, 0.4, initial, GRID)[1:], strict=True):
        taken = quad(lambda x: 2.0 * x / (rate * x**2 + 0.6 * x + 0.4), initial, r, epsabs=1e-12, epsrel=1e-12)[0]
        assert taken == pytest.approx(t, rel=1e-7)


def test_a_hundred_orders_of_magnitude() -> None:
    assert compare(200.0, 0.0, 1e-20, 0.0, GRID)[-1] == pytest.approx(
        1e-10 * math.sqrt(math.expm1(400.0) / 200.0), rel=1e-6
    )


@pytest.mark.parametrize("rate", [-2.0, 0.0, 3.0])
def test_the_step_ahead_is_above(rate: float) -> None:
    for t in (1e-6, 1e-3, 0.1):
        for initial in (0.0, 0.3):
            exact = compare(rate, 0.6, 0.4, initial, TimeGrid(t, 1))[-1]
            assert exact * (1.0 - 1e-8) <= ahead(rate, 0.6, 0.4, initial, t) <= exact * (1.0 + 6.0 * math.sqrt(t))


def test_the_recursion_by_hand() -> None:
    curve = recursion(0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 1)
    assert curve[1] ** 2 == pytest.approx((0.9 * 0.5 + 0.1) ** 2 + 0.2 * 0.25 + 0.3 * 0.5 + 0.4)


def test_the_growth_of_a_step() -> None:
    rotation = {"mu": 0.0, "spectral": 2.0}
    assert step_growth(rotation, 0.1) == pytest.approx(math.hypot(1.0, 0.2))  # |1 + 0.1 · 2i|
    assert step_growth({"mu": 2.0, "spectral": 2.0}, 0.1) == pytest.approx(1.2)
    assert step_growth({"mu": -2.0, "spectral": 2.0}, 0.1) == pytest.approx(0.8)
    # A log-norm above the norm, as loose constants may have it, is no excuse for a growth above 1 + hL.
    assert step_growth({"mu": 9.0, "spectral": 2.0}, 0.1) == pytest.approx(1.2)
    assert step_growth({"mu": -9.0, "spectral": 0.0}, 1.0) == 0.0
    assert step_growth({**rotation, "step_norm": 0.5}, 0.1) == 0.5
