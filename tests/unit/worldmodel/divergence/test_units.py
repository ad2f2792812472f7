"""Whitened units do not depend on the units of the state; singular covariances are inverted on their support."""

import numpy as np
import pytest
import torch

from sdewm import Refused, divergence
from sdewm.worldmodel.divergence.units import raw_unit, whitened_unit

EPS = 2.0**-52
A = torch.tensor([[0.9, 0.8, 0.0], [0.0, 0.7, -0.5], [0.1, 0.0, 0.6]], dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_whitened_errors_have_the_covariance_of_the_states() -> None:
    x = normal(200, 3) @ normal(3, 3, seed=1)
    unit = whitened_unit(x, EPS)
    torch.testing.assert_close(unit.root @ unit.root.T, torch.cov(x.T, correction=0), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(unit.inverse @ unit.root, torch.eye(3, dtype=x.dtype), rtol=0, atol=1e-10)
    torch.testing.assert_close(unit.completed, unit.root)
    # eᵀ C⁻¹ e / 3, whatever the root.
    e = normal(5, 3, seed=2)
    expected = torch.einsum("pi,ij,pj->p", e, torch.linalg.inv(torch.cov(x.T, correction=0)), e) / 3.0
    torch.testing.assert_close(unit.squares(e), expected)


def test_another_scale_changes_nothing_in_whitened_units() -> None:
    scale = torch.tensor([1024.0, 1.0, 2.0**-12], dtype=torch.float64)

    def step(x):
        return torch.sin(x @ A.T) + 0.3 * x

    def scaled(x):
        return scale * step(x / scale)

    x = normal(32, 3)
    one = divergence(step, x, horizon=10, sizes=(0.01, 0.3))
    other = divergence(scaled, scale * x, horizon=10, sizes=(0.01, 0.3))
    for kind in ("initial", "zero drift", "drift"):
        for size in (0.01, 0.3):
            a, b = (d.curve(kind, "whitened", size) for d in (one, other))
            np.testing.assert_allclose(a.growth.value, b.growth.value, rtol=1e-7)
            np.testing.assert_allclose(a.growth.high, b.growth.high, rtol=1e-7)
        a, b = (d.curve(kind, "raw", 0.01) for d in (one, other))
        # Control: raw units see the scale.
        assert abs(a.growth.value[-1] / b.growth.value[-1] - 1.0) > 0.1
    for name in ("log-norm", "spectral", "Frobenius"):
        a, b = (d.jacobians.norms["whitened"][name].mean for d in (one, other))
        np.testing.assert_allclose(a, b, rtol=1e-7)
    for a, b in zip(one.bounds, other.bounds, strict=True):
        if a.unit == "whitened":
            np.testing.assert_allclose(a.product, b.product, rtol=1e-7)
            np.testing.assert_allclose(a.spectral, b.spectral, rtol=1e-7)


def test_any_linear_change_leaves_the_mean_response() -> None:
    """‖T⁻¹ J T‖_F² is the mean square response to T ω; under x → B x it stays, though T does not become B T."""
    x, b, j = normal(100, 3), normal(3, 3, seed=1), normal(3, 3, seed=2)
    one, other = whitened_unit(x, EPS), whitened_unit(x @ b.T, EPS)
    first = (one.inverse @ j @ one.root).square().sum()
    second = (other.inverse @ b @ j @ torch.linalg.inv(b) @ other.root).square().sum()
    torch.testing.assert_close(first, second)
    assert not torch.allclose(j.square().sum(), (b @ j @ torch.linalg.inv(b)).square().sum(), rtol=0.1)


def test_constant_and_dependent_columns() -> None:
    x = normal(50, 2)
    x = torch.cat((x, torch.full((50, 1), 7.0, dtype=x.dtype), x[:, :1] - 2.0 * x[:, 1:]), 1)
    unit = whitened_unit(x, EPS)
    assert unit.rank == 2
    assert unit.constant == (2,)
    assert float(unit.root[2].abs().max()) < 1e-12
    # What is injected is measured at its size, and completed is invertible.
    # E |T⁺ T ω|² = tr T⁺ T, for standard normal ω.
    assert float((unit.inverse @ unit.root).trace()) / unit.rank == pytest.approx(1.0)
    assert float(torch.linalg.cond(unit.completed)) < 1e3
    torch.testing.assert_close(torch.linalg.solve(unit.completed, unit.root), unit.inverse @ unit.root)
    d = divergence(lambda y: y.clone(), x, horizon=3, sizes=0.1, units="whitened")
    assert any("columns [2] are constant" in flag for flag in d.flags)
    assert any("rank 2 of 4" in flag for flag in d.flags)
    for kind in ("initial", "drift"):
        np.testing.assert_allclose(d.curve(kind).growth.value, d.curve(kind).law, rtol=1e-9)


def test_nothing_varies() -> None:
    with pytest.raises(Refused, match="whitened units need a column that varies"):
        divergence(lambda x: x.clone(), torch.ones(4, 2), horizon=2)
    divergence(lambda x: x.clone(), torch.ones(4, 2), horizon=2, units="raw")


def test_raw_units_are_the_identity() -> None:
    assert torch.equal(raw_unit(2).root, torch.eye(2, dtype=torch.float64))
