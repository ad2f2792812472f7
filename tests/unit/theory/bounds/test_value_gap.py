"""The value gap: each term attained, exact finite chains beneath it, and the Wasserstein distance by brute force."""

import itertools
import math

import numpy as np
import pytest

from sdewm.constant import Assumed, Certified, Sampled
from sdewm.exceptions import HypothesisFails, InvalidArgument
from sdewm.theory.bounds import ValueGap, one_step_distance, wasserstein_1


def affine_value(start: float, kappa: float, shift: float, slope: float, offset: float, discount: float) -> float:
    """Σ γ^t (slope z_t + offset) of z' = κz + shift, by summation."""
    z, weight, total = start, 1.0, 0.0
    while weight * max(abs(z), 1.0) > 1e-17:
        total += weight * (slope * z + offset)
        z, weight = kappa * z + shift, weight * discount
    return total


@pytest.mark.parametrize("kappa", [0.0, 0.5, 0.9, 1.05])
@pytest.mark.parametrize("part", ["model", "start", "reward", "all"])
def test_each_term_is_attained(kappa: float, part: str) -> None:
    discount, slope = 0.9, 1.5
    d, delta, reward = (
        value if part in (name, "all") else 0.0 for name, value in (("model", 0.2), ("start", 0.3), ("reward", 0.1))
    )
    gap = ValueGap(discount, slope, kappa, d, delta, reward)
    base = affine_value(0.4, kappa, 0.0, slope, 0.0, discount)
    other = affine_value(0.4 + delta, kappa, d, slope, reward, discount)
    assert other - base == pytest.approx(float(gap.bound), rel=1e-12)
    assert sum(gap.terms) == pytest.approx(float(gap.bound), rel=1e-14)
    # The negative control: with the model error counted once, not discounted over all later steps, it is too small.
    if part == "model" and kappa:
        assert slope * discount * d < 0.9 * (other - base)


def test_action_values_at_a_common_action() -> None:
    """Q(z, a) = r(z) + γ E V(m(z, a)): the model error enters in the first step too."""
    discount, kappa, d = 0.9, 0.7, 0.2
    base = 1.0 + discount * affine_value(-0.3, kappa, 0.0, 1.0, 0.0, discount)
    other = 1.0 + discount * affine_value(-0.3 + d, kappa, d, 1.0, 0.0, discount)
    assert other - base == pytest.approx(float(ValueGap(discount, 1.0, kappa, d).action_value), rel=1e-12)
    with pytest.raises(InvalidArgument, match="must be 0 for action values"):
        _ = ValueGap(discount, 1.0, kappa, d, initial=0.1).action_value


def test_random_chains_stay_below() -> None:
    """Finite chains on a line, all constants exact: W₁ of neighbours from their distribution functions."""
    rng, discount, ratios = np.random.default_rng(0), 0.8, []
    points = np.linspace(-1.0, 1.0, 15)
    width = points[1] - points[0]

    def w1(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.abs(np.cumsum(p - q, -1)[..., :-1]).sum(-1) * width

    while len(ratios) < 50:
        centre = rng.uniform(0.2, 0.8) * points + rng.uniform(-0.1, 0.1)
        p, q = (np.exp(-((points - c[:, None]) ** 2) / 0.05) for c in (centre, centre + rng.uniform(-0.1, 0.1)))
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
        kappa, d = float((w1(p[1:], p[:-1]) / width).max()), float(w1(p, q).max())
        reward, error = np.sin(2.0 * points), 0.02 * rng.standard_normal(15)
        slope = float((np.abs(np.diff(reward)) / width).max())
        v = np.linalg.solve(np.eye(15) - discount * p, reward)
        v_eps = np.linalg.solve(np.eye(15) - discount * q, reward + error)
        bound = ValueGap(discount, slope, kappa, d, width, float(np.abs(error).max())).bound
        # The initial error is one point of the grid.
        ratios.append(float(np.abs(v_eps[1:] - v[:-1]).max()) / float(bound))
    assert max(ratios) <= 1.0
    assert max(ratios) > 0.2


def test_pedigree() -> None:
    exact = Certified(1.0, "closed form", attained=1.0)
    certified = ValueGap(0.9, exact, Certified(0.5, "a norm"), Certified(0.1, "a cover"), exact, exact).bound
    assert certified.at_most == pytest.approx(1.0 / 0.1 + 1.0 / 0.55 + 0.09 / 0.055)
    assert certified.at_least is None
    assert ValueGap(0.9, 1.0, 0.5, 0.1).bound.at_most is None
    assert ValueGap(0.9, Sampled(1.0, "paths"), 0.5, 0.1).bound.at_least is None


def test_without_a_discounted_contraction() -> None:
    for kappa, words, declared in (
        (1.2, "is not below one", False),
        (1.0 / 0.9, "is not below one", False),
        (Certified(1.2, "a norm", attained=1.2), "is not below one", True),
        (Certified(1.2, "a norm", attained=0.7), "is not shown to be below one", False),
        (Sampled(1.2, "paths"), "is not below one", True),
    ):
        with pytest.raises(HypothesisFails, match=words) as caught:
            ValueGap(0.9, 1.0, kappa, 0.1)
        assert caught.value.declared is declared
    with pytest.raises(InvalidArgument, match="discount must be in"):
        ValueGap(1.0, 1.0, 0.5, 0.1)
    with pytest.raises(InvalidArgument, match="one_step must be at least 0"):
        ValueGap(0.9, 1.0, 0.5, -0.1)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_wasserstein_is_the_best_of_all_pairings(dim: int) -> None:
    rng = np.random.default_rng(dim)
    a, b = rng.standard_normal((6, dim)), rng.standard_normal((6, dim)) + 0.5
    brute = min(float(np.linalg.norm(a - b[list(order)], axis=1).mean()) for order in itertools.permutations(range(6)))
    assert wasserstein_1(a, b) == pytest.approx(brute, rel=1e-12)
    assert brute < float(np.linalg.norm(a - b, axis=1).mean())


def test_wasserstein_of_a_shift_and_against_scipy() -> None:
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(400), rng.exponential(size=400)
    assert wasserstein_1(a, b) == pytest.approx(wasserstein_distance(a, b), rel=1e-10)
    cloud = rng.standard_normal((50, 3))
    assert wasserstein_1(cloud, cloud[::-1] + np.array([3.0, 4.0, 0.0])) == pytest.approx(5.0, rel=1e-12)
    found = one_step_distance([(a, a + 0.25), (b, b - 0.5)])
    assert isinstance(found, Assumed)
    assert found.value == pytest.approx(0.5)


def test_wrong_samples() -> None:
    with pytest.raises(InvalidArgument, match="must have one shape"):
        wasserstein_1([1.0], [1.0, 2.0])
    with pytest.raises(InvalidArgument, match="must be finite"):
        wasserstein_1([1.0], [math.nan])
    with pytest.raises(InvalidArgument, match="pairs is empty"):
        one_step_distance([])
