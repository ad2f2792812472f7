"""Kreiss's constant and the transient growth, against closed forms and fine grids."""

import math

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

from sdewm.exceptions import InvalidArgument, Refused
from sdewm.theory.bounds import kreiss_constant, transient_growth


def jordan(b: float) -> np.ndarray:
    """[[−1, b], [0, −1]], where both suprema are explicit problems in one variable."""
    return np.array([[-1.0, b], [0.0, -1.0]])


def upper_norm(u: float, v: float) -> float:
    """‖[[u, v], [0, u]]‖₂ = |v|/2 + √(u² + v²/4)."""
    return abs(v) / 2.0 + math.sqrt(u**2 + v**2 / 4.0)


@pytest.mark.parametrize("b", [4.0, 10.0, 30.0])
def test_both_suprema_of_a_jordan_block(b: float) -> None:
    """‖e^{At}‖ = e^{−t} ‖[[1, bt], [0, 1]]‖; the resolvent at x > 0 is [[1/w, b/w²], [0, 1/w]], w = 1 + x."""
    growth = minimize_scalar(lambda t: -math.exp(-t) * upper_norm(1.0, b * t), bounds=(0.0, 5.0), method="bounded")
    found = transient_growth(jordan(b), tolerance=1e-3)
    assert found.attained is not None
    assert found.attained <= -growth.fun * (1.0 + 1e-9)
    assert found.attained >= -growth.fun * (1.0 - 1e-3)
    assert -growth.fun <= found.value <= -growth.fun * 1.002
    # The greatest x ‖R(x)‖ is at x = (b² + 4)/(b² − 4).
    exact = b / 4.0 + 1.0 / b
    x = (b**2 + 4.0) / (b**2 - 4.0)
    assert x * upper_norm(1.0 / (1.0 + x), b / (1.0 + x) ** 2) == pytest.approx(exact, rel=1e-12)
    for tolerance in (0.05, 1e-4):
        k = kreiss_constant(jordan(b), tolerance=tolerance)
        assert k.attained is not None
        assert exact * (1.0 - tolerance) <= k.attained <= exact <= k.value <= exact * (1.0 + tolerance)


def test_the_upper_side_covers_a_fine_grid_and_the_lower_is_on_it() -> None:
    rng = np.random.default_rng(0)
    a = -np.diag(rng.uniform(0.5, 2.0, 4)) + 2.0 * np.triu(rng.standard_normal((4, 4)), 1)
    k, growth = kreiss_constant(a, tolerance=0.02), transient_growth(a)
    x, y = np.meshgrid(np.geomspace(0.01, 30.0, 150), np.linspace(-6.0, 6.0, 121), indexing="ij")
    z = (x + 1j * y).ravel()
    values = z.real / np.linalg.svd(z[:, None, None] * np.eye(4) - a, compute_uv=False)[:, -1]
    assert k.attained is not None
    assert k.attained * (1.0 - 1e-3) <= values.max() <= k.attained * (1.0 + 1e-6)
    assert values.max() <= k.value <= k.attained * 1.0201
    # The negative control: half of the upper side is exceeded.
    assert values.max() > k.value / 2.0
    seen = max(float(np.linalg.norm(expm(a * t), 2)) for t in np.linspace(0.0, 10.0, 1001))
    assert growth.attained is not None
    assert growth.attained * (1.0 - 1e-3) <= seen <= growth.value
    # Kreiss's theorem between the two.
    assert k.value <= growth.attained
    assert growth.value <= math.e * 4 * k.attained


def test_normal_matrices_do_not_grow() -> None:
    for a in (np.diag([-1.0, -2.0]), np.array([[-0.5, 3.0], [-3.0, -0.5]])):
        growth, k = transient_growth(a), kreiss_constant(a)
        assert growth.value == growth.attained == 1.0
        assert k.attained == pytest.approx(1.0, abs=1e-9)
        assert 1.0 <= k.value <= 1.0501


def test_the_two_sides_close_with_the_tolerance() -> None:
    for tolerance in (0.3, 0.02, 0.002):
        k = kreiss_constant(jordan(20.0), tolerance=tolerance)
        assert k.attained is not None
        assert k.attained <= k.value <= k.attained * (1.0 + 1.001 * tolerance)
    # A rotating block: the peak is off the real axis.
    a = np.kron(np.eye(2), np.array([[-0.1, 5.0], [-5.0, -0.1]])) + np.kron(
        np.array([[0.0, 1.0], [0.0, 0.0]]), np.eye(2)
    )
    k = kreiss_constant(a, tolerance=0.01)
    x, y = np.meshgrid(np.geomspace(0.01, 10.0, 200), np.linspace(4.0, 6.0, 101), indexing="ij")
    z = (x + 1j * y).ravel()
    seen = (z.real / np.linalg.svd(z[:, None, None] * np.eye(4) - a, compute_uv=False)[:, -1]).max()
    assert seen > 2.0
    assert seen * (1.0 - 0.01) <= float(k.attained or 0.0) <= k.value <= seen * 1.02


def test_what_is_refused() -> None:
    for a in (np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]])):
        for function in (kreiss_constant, transient_growth):
            with pytest.raises(Refused, match="open left half plane"):
                function(a)
    for wrong in (np.ones(3), np.ones((2, 3)), 1j * np.eye(2)):
        with pytest.raises(InvalidArgument, match="real and square"):
            kreiss_constant(wrong)
    with pytest.raises(InvalidArgument, match="must be finite"):
        transient_growth([[math.nan]])
    for tolerance in (1e-9, 2.0):
        with pytest.raises(InvalidArgument, match=r"tolerance must be in"):
            kreiss_constant(jordan(4.0), tolerance=tolerance)
    with pytest.raises(Refused, match="too close to the imaginary axis"):
        kreiss_constant([[-1e-11, 3.0], [0.0, -1.0]])
    with pytest.raises(Refused, match="too slowly"):
        transient_growth([[-1e-8, 100.0], [0.0, -1e-8]])
