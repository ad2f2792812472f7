"""Norms, products and Lyapunov exponents of linear maps are those of their matrices."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sdewm import divergence
from sdewm.worldmodel.divergence.lyapunov import lyapunov_exponents
from sdewm.worldmodel.divergence.spectrum import product_norms

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_norms_of_a_linear_map() -> None:
    a = normal(5, 5) / 5**0.5
    d = divergence(lambda x: x @ a.T, normal(8, 5, seed=1), horizon=9, units="raw", bound_states=0)
    matrix = a.numpy()
    expected = {
        "log-norm": np.linalg.eigvalsh(0.5 * (matrix + matrix.T)).max(),
        "spectral": np.linalg.norm(matrix, 2),
        "Frobenius": np.linalg.norm(matrix),
    }
    for name, value in expected.items():
        spread = d.jacobians.norms["raw"][name]
        for part in (spread.mean, spread.low, spread.median, spread.high, spread.largest):
            np.testing.assert_allclose(part, value, rtol=1e-12)
    product = [np.linalg.norm(np.linalg.matrix_power(matrix, n), 2) for n in range(1, 10)]
    np.testing.assert_allclose(d.jacobians.product["raw"].median, product, rtol=1e-10)
    singular = np.linalg.svd(np.linalg.matrix_power(matrix, 9), compute_uv=False)
    # Passes end when they move exponents by less than 1e-5.
    np.testing.assert_allclose(d.jacobians.lyapunov.value, np.log(singular) / 9, rtol=0, atol=2e-4)
    np.testing.assert_allclose(d.jacobians.lyapunov.low, d.jacobians.lyapunov.high, atol=1e-9)


def test_a_symmetric_map_has_the_logarithms_of_its_eigenvalues() -> None:
    q = torch.linalg.qr(normal(4, 4))[0]
    values = torch.tensor([1.5, 0.9, -0.5, 0.1], dtype=F64)
    exponents = lyapunov_exponents(((q * values) @ q.T).expand(30, 2, 4, 4))
    torch.testing.assert_close(exponents, values.abs().log().expand(2, 4), rtol=0, atol=1e-9)


def test_a_non_normal_map_tends_to_its_eigenvalues() -> None:
    a = torch.tensor([[0.9, 5.0], [0.0, 0.5]], dtype=F64)
    eigenvalues = torch.tensor([0.9, 0.5], dtype=F64).log()
    short, long = (lyapunov_exponents(a.expand(n, 1, 2, 2))[0] for n in (4, 4000))
    torch.testing.assert_close(long, eigenvalues, rtol=0, atol=2e-3)
    # Control: in a short time its transient growth rules.
    assert float(short[0]) > 0.2 > float(eigenvalues[0])


def test_products_of_different_matrices() -> None:
    steps = normal(6, 3, 4, 4)
    product = torch.eye(4, dtype=F64).expand(3, 4, 4)
    for matrix in steps:
        product = matrix @ product
    expected = torch.linalg.svdvals(product).log() / 6
    torch.testing.assert_close(lyapunov_exponents(steps), expected, rtol=0, atol=1e-7)
    # The sum of all exponents is the volume's, exactly.
    torch.testing.assert_close(lyapunov_exponents(steps).sum(1), torch.linalg.slogdet(steps)[1].mean(0))
    # Where some paths lose a direction and others do not, each is told apart.
    steps[2, 1] = torch.outer(steps[2, 1, 0], steps[2, 1, 1])
    assert lyapunov_exponents(steps).isneginf().sum(1).tolist() == [0, 3, 0]
    # Control: the order of the factors matters.
    assert not torch.allclose(lyapunov_exponents(steps.flip(0)), expected, atol=1e-3)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_a_singular_step_gives_minus_infinity(rank: int) -> None:
    steps = normal(7, 2, 5, 5)
    left, right = normal(5, rank, seed=1), normal(rank, 5, seed=2)
    steps[3] = left @ right
    exponents = lyapunov_exponents(steps)
    assert bool(torch.isneginf(exponents[:, rank:]).all())
    assert bool(torch.isfinite(exponents[:, :rank]).all())
    product = torch.eye(5, dtype=F64).expand(2, 5, 5)
    for matrix in steps:
        product = matrix @ product
    expected = torch.linalg.svdvals(product)[:, :rank].log() / 7
    torch.testing.assert_close(exponents[:, :rank], expected, rtol=0, atol=1e-7)


def test_a_zero_column_hides_nothing() -> None:
    """Taken from Q = I, the first direction would be lost at once and its number would be the second's."""
    a = torch.tensor([[0.0, 0.0], [0.0, 2.0]], dtype=F64)
    assert lyapunov_exponents(a.expand(5, 1, 2, 2)).tolist() == [[pytest.approx(np.log(2.0)), -np.inf]]
    nilpotent = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=F64)
    assert lyapunov_exponents(nilpotent.expand(1, 1, 2, 2)).tolist() == [[pytest.approx(0.0), -np.inf]]
    assert lyapunov_exponents(nilpotent.expand(2, 1, 2, 2)).tolist() == [[-np.inf, -np.inf]]


def test_long_products_neither_overflow_nor_vanish() -> None:
    for factor in (1e3, 1e-3):
        steps = (factor * torch.eye(2, dtype=F64)).expand(300, 1, 2, 2)
        n = torch.arange(1, 301, dtype=F64)[:, None]
        torch.testing.assert_close(product_norms(steps), n * np.log(factor))
        torch.testing.assert_close(lyapunov_exponents(steps), torch.full((1, 2), np.log(factor), dtype=F64))
    gone = product_norms(torch.zeros(3, 1, 2, 2, dtype=F64))
    assert bool(torch.isneginf(gone).all())


def test_a_column_in_small_units_is_not_lost() -> None:
    """Positions in micrometres and forces in meganewtons: exponents in float32 are those in float64."""
    scale, w = torch.tensor([1e3, 1.0, 1e-3, 1.0], dtype=F64), normal(4, 4) / 2.0
    exact, single = (
        divergence(
            lambda x, s=scale.to(dtype): s * torch.tanh((x / s) @ w.to(x)),
            (scale * normal(8, 4, seed=1)).to(dtype),
            horizon=6,
            bound_states=0,
        ).jacobians.lyapunov.value
        for dtype in (F64, torch.float32)
    )
    assert np.isfinite(exact).all()
    np.testing.assert_allclose(single, exact, rtol=0, atol=2e-3)
    # A step that does lose a direction loses it in any units.
    steps = normal(6, 2, 4, 4)
    steps[2] = normal(4, 3, seed=3) @ normal(3, 4, seed=4)
    moved = scale[:, None] * steps / scale
    digits = float(torch.finfo(torch.float32).eps)
    got = lyapunov_exponents(moved, digits=digits, scale=scale)
    assert got.isneginf().sum(1).tolist() == [1, 1]
    product = torch.eye(4, dtype=F64).expand(2, 4, 4)
    for matrix in moved:
        product = matrix @ product
    torch.testing.assert_close(got[:, :3], torch.linalg.svdvals(product)[:, :3].log() / 6, rtol=0, atol=1e-6)
    # Control: without the scale more is lost than there is to lose.
    assert int(lyapunov_exponents(moved, digits=digits).isneginf().sum()) > 2
