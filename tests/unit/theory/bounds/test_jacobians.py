"""Mean-value Jacobians, the repaired random-Jacobian bound, and the form that it repairs."""

import math

import numpy as np
import pytest
import torch
from exact_errors import scalar
from systems import F64, fixed
from torch import Tensor

from sdewm import InvalidArgument, Refused, TimeGrid
from sdewm.jacobian import jacobians
from sdewm.theory.bounds import BOUNDS, ExpectedSup, Setting, mean_value_jacobian
from sdewm.theory.bounds.expected_sup import expected_sup_form, running_exponents
from sdewm.theory.bounds.mean_value import diffusion_columns
from sdewm.theory.bounds.random_jacobian import growth_rate, right_side, step_growth_rate

X, Y, W = fixed(6, 3), fixed(6, 3, seed=1), fixed(3, 3, seed=2)


def network(x: Tensor) -> Tensor:
    return torch.tanh(x @ W) - x


def columns(x: Tensor) -> Tensor:
    return torch.stack((torch.sin(x @ W), x**2), 2)


@pytest.mark.parametrize("nodes", [1, 4, 12])
def test_the_difference_is_carried_over_exactly(nodes: int) -> None:
    J = mean_value_jacobian(network, X, Y, nodes)
    assert torch.allclose(torch.einsum("pij,pj->pi", J, Y - X), network(Y) - network(X), rtol=1e-13, atol=1e-13)
    G = mean_value_jacobian(columns, X, Y, nodes)
    assert G.shape == (6, 2, 3, 3)
    moved = torch.einsum("pkij,pj->pik", G, Y - X)
    assert torch.allclose(moved, columns(Y) - columns(X), rtol=1e-13, atol=1e-13)


def test_it_is_the_mean_along_the_segment() -> None:
    rough = sum(jacobians(network, X + (n + 0.5) / 200 * (Y - X)) for n in range(200)) / 200
    J = mean_value_jacobian(network, X, Y, 12)
    assert torch.allclose(J, rough, atol=1e-4)
    # Control: the Jacobian at either end, or in the middle, is another one.
    for end in (X, Y, 0.5 * (X + Y)):
        assert not torch.allclose(J, jacobians(network, end), atol=1e-2)
    square = mean_value_jacobian(columns, X, Y, 12)[:, 1]
    assert torch.allclose(square, torch.diag_embed(X + Y))


def test_equal_states_give_the_jacobian() -> None:
    same = mean_value_jacobian(network, X, X)
    assert torch.allclose(same, jacobians(network, X))
    mixed = X.clone()
    mixed[0] = Y[0]
    assert torch.isfinite(mean_value_jacobian(columns, X, mixed)).all()


def test_diagonal_noise_as_columns() -> None:
    assert diffusion_columns(network, diagonal=True)(X).shape == (6, 3, 3)
    assert diffusion_columns(columns, diagonal=False)(X).shape == (6, 3, 2)
    G = mean_value_jacobian(diffusion_columns(torch.sin, diagonal=True), X, Y)
    assert torch.allclose(torch.einsum("pkij,pj->pik", G, Y - X), torch.diag_embed(torch.sin(Y) - torch.sin(X)))


def test_bad_states() -> None:
    with pytest.raises(InvalidArgument, match="x and y"):
        mean_value_jacobian(network, X, Y[:2])
    with pytest.raises(InvalidArgument, match="nodes"):
        mean_value_jacobian(network, X, Y, 0)
    with pytest.raises(InvalidArgument, match="2 or 3 axes"):
        mean_value_jacobian(lambda x: x.sum(-1), X, Y)


def test_the_rate_by_hand() -> None:
    A, G = fixed(4, 3, 3, seed=3), fixed(4, 2, 3, 3, seed=4)
    for p, factor in ((0.5, 0.5), (1.0, 0.5), (2.0, 1.5), (3.0, 2.5)):
        for i in range(4):
            mu = float(torch.linalg.eigvalsh(0.5 * (A[i] + A[i].T))[-1])
            noise = sum(float(torch.linalg.matrix_norm(g, 2)) ** 2 for g in G[i])
            assert float(growth_rate(A, G, p)[i]) == pytest.approx(mu + factor * noise)
    # The steps' rate tends to h times the equation's.
    for p in (1.0, 2.0):
        gaps = [step_growth_rate(A, G, h, p) / h - growth_rate(A, G, p) for h in (1e-4, 5e-5)]
        assert torch.allclose(gaps[0] / gaps[1], torch.full((4,), 2.0, dtype=F64), rtol=0.02)


@pytest.mark.parametrize("b", [0.3, 1.0])
def test_geometric_brownian_motion_stays_below(b: float) -> None:
    a, grid = -0.5, TimeGrid(1.0, 20)
    A, G = torch.full((1, 1, 1), a, dtype=F64), torch.full((1, 1, 1, 1), b, dtype=F64)
    start, time = torch.full((1,), 0.3, dtype=F64), grid.T
    for p in (0.5, 1.0, 2.0, 3.0):
        exact = 0.3**p * math.exp(p * a * time + 0.5 * p * (p - 1.0) * b**2 * time)
        bound = float(right_side(start, time * growth_rate(A, G, p), p)) ** 0.5
        assert exact <= bound
        # The gap is what Cauchy and Schwarz give away.
        assert bound / exact == pytest.approx(math.exp(p * (0.5 + max(p - 1.0, 0.0) - 0.5 * (p - 1.0)) * b**2 * time))
    moments = scalar(grid, a, b, 0.0, 0.0, 0.3)[-1]
    sums = {p: grid.steps * step_growth_rate(A, G, grid.h, p) for p in (1.0, 2.0)}
    # What the steps' rate is made of is attained: E e² = |e_0|² Π κ², E e⁴ = |e_0|⁴ Π κ⁴.
    assert float(right_side(start, sums[1.0], 1.0)) == pytest.approx(moments[2])
    assert float(right_side(start, sums[2.0], 2.0)) == pytest.approx(moments[4])
    assert moments[2] <= float(right_side(start, sums[2.0], 2.0)) ** 0.5


def test_random_gains_need_the_mean_of_the_exponential() -> None:
    # dx = z x dt, P(z = M) = 1/M: E|e| = |e_0| E e^z, the bound has (E e^{2z})^½, and e^{E z} is the wrong way round.
    for M in (4.0, 8.0, 16.0):
        z = torch.tensor([0.0, M], dtype=F64)
        weights = torch.tensor([1.0 - 1.0 / M, 1.0 / M], dtype=F64)
        rate = growth_rate(z[:, None, None], torch.zeros(2, 1, 1, 1, dtype=F64), 1.0)
        exact = float(weights @ torch.exp(z))
        assert exact <= float(weights @ right_side(torch.ones(2, dtype=F64), rate, 1.0)) ** 0.5
        assert exact > math.exp(float(weights @ z))


def test_powers_and_shapes_are_checked() -> None:
    A, G = fixed(4, 3, 3), fixed(4, 2, 3, 3)
    with pytest.raises(Refused, match="p in \\(0, 1\\] and p = 2"):
        step_growth_rate(A, G, 0.1, 1.5)
    with pytest.raises(InvalidArgument, match="p must be above zero"):
        growth_rate(A, G, 0.0)
    with pytest.raises(InvalidArgument, match="h must be above zero"):
        step_growth_rate(A, G, 0.0, 1.0)
    for wrong in (G[:2], G[:, :, :2], G[:, 0]):
        with pytest.raises(InvalidArgument, match="must have shapes"):
            growth_rate(A, wrong, 1.0)
    with pytest.raises(InvalidArgument, match="must both be"):
        right_side(torch.ones(2), torch.ones(3), 1.0)


@pytest.mark.parametrize(("M", "gap"), [(2, 0.12), (4, 1.35), (8, 4.61), (16, 11.9), (32, 27.2)])
def test_no_constant_rescues_the_expected_supremum(M: int, gap: float) -> None:
    # dx = z tanh x dt about 0: E sup|J| = E|z| = 1 for all M, and E|e| / δ tends to E e^z.
    numbers = {"expected_drift_jacobian": 1.0, "expected_diffusion_jacobian": 0.0}
    form = ExpectedSup().continuous(
        {**numbers, "drift_error": 0.0, "diffusion_error": 0.0}, Setting(TimeGrid(1.0, 1), 1.0, 1.0)
    )
    truth = math.log(1.0 - 1.0 / M + math.exp(M) / M)
    assert truth - math.log(form[-1]) == pytest.approx(gap, abs=0.006 * max(1.0, gap))
    assert form[-1] == pytest.approx(expected_sup_form(1.0, 0.0, 1.0))


@pytest.mark.parametrize("b", [1.0, 6.0, 12.0])
def test_the_diffusion_has_to_enter_squared(b: float) -> None:
    # Rotational noise dx = b x dB¹ + b J x dB²: ln|e| = b B¹, so that E|e| = e^{b²/2}, and ‖(bI, bJ)‖_F = 2b.
    form = expected_sup_form(0.0, 2.0 * b, 1.0)
    assert (math.exp(b**2 / 2.0) > form) == (b > 4.0)


def test_the_form_is_marked_as_no_theorem() -> None:
    assert not ExpectedSup().theorem
    assert ExpectedSup().power == 1.0
    assert "as reconstructed" in ExpectedSup().reference
    assert all(bound.theorem for bound in BOUNDS)
    numbers = {
        "expected_drift_jacobian": 0.5,
        "expected_diffusion_jacobian": 0.2,
        "drift_error": 1.0,
        "diffusion_error": 0.5,
    }
    where = Setting(TimeGrid(2.0, 4), 0.1, 0.3)
    low = ExpectedSup(2.0).discrete(numbers, where)
    assert (low == ExpectedSup(2.0).continuous(numbers, where)).all()
    assert low[0] == pytest.approx(2.0 * 0.45 * 2.0)
    for name in numbers:
        assert (ExpectedSup(2.0).discrete({**numbers, name: numbers[name] + 0.1}, where)[1:] > low[1:]).all()
    with pytest.raises(InvalidArgument, match="constant must be above zero"):
        ExpectedSup(0.0)


def test_running_exponents_are_largest_so_far() -> None:
    norms = fixed(5, 3).abs()
    result = running_exponents(norms, TimeGrid(2.0, 4)).numpy()
    for n in range(5):
        assert result[n] == pytest.approx(0.5 * n * np.max(norms[: n + 1].numpy(), 0))
    with pytest.raises(InvalidArgument, match="steps \\+ 1"):
        running_exponents(norms, TimeGrid(1.0, 5))
