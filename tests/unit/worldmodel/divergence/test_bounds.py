"""The discrete bounds hold path by path, in their order, and a wrong one would be seen."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sdewm import divergence
from sdewm.worldmodel.divergence.bounds import path_bounds
from sdewm.worldmodel.divergence.derivative import Matrices
from sdewm.worldmodel.divergence.driven import DrivenMap
from sdewm.worldmodel.divergence.injection import KINDS, injections
from sdewm.worldmodel.divergence.measure import base_states
from sdewm.worldmodel.divergence.units import raw_unit

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


W = normal(6, 6) / 6**0.5 * 1.8


def step(x: Tensor, a: Tensor, noise: Tensor) -> Tensor:
    h = torch.tanh(x @ W.T + a)
    return torch.cat((h[:, :4], h[:, 4:] + 0.2 * noise), 1)


@pytest.fixture(scope="module")
def found():
    actions = 0.3 * normal(10, 6, seed=1)
    return divergence(step, normal(24, 6), actions, noise_dim=2, of=slice(4, 6), sizes=(0.01, 0.5))


def test_bounds_hold_and_come_in_their_order(found) -> None:
    assert len(found.bounds) == 6
    for b in found.bounds:
        assert b.size == 0.5
        assert b.tightest >= 1.0 - 1e-9
        assert (b.product >= b.error * (1.0 - 1e-9)).all()
        assert (b.spectral >= b.product * (1.0 - 1e-9)).all()
        assert (b.frobenius >= b.spectral * (1.0 - 1e-9)).all()
        assert (b.largest >= b.spectral * (1.0 - 1e-9)).all()
        # After one step nothing has been multiplied yet.
        if b.kind != "initial":
            np.testing.assert_allclose(b.product[0], b.error[0], rtol=1e-9)


def test_the_product_bound_is_attained() -> None:
    """In one dimension there is one direction: an initial error meets its bound, as a drift of a growing map does."""
    d = divergence(lambda x: 1.2 * x + 0.1 * torch.sin(x), normal(16, 1), horizon=8, units="raw", sizes=0.3)
    for b in d.bounds:
        if b.kind != "zero drift":
            np.testing.assert_allclose(b.product, b.error, rtol=1e-9)
            assert b.tightest == pytest.approx(1.0, rel=1e-9)


def test_by_brute_force() -> None:
    driven = DrivenMap(lambda n, x, a, xi: torch.sin(x @ W.T), 6, 5)
    base = base_states(driven, normal(3, 6))
    of, one = torch.tensor([1, 4]), torch.eye(6, dtype=F64)
    for kind in KINDS:
        injection = injections(kind, raw_unit(2), 3, 5, 1, 0)[0]
        got = path_bounds(driven, base, [injection], 1e-7, of, (one, one), [1, 3, 5], Matrices())[0]
        # For a tiny error mean-value Jacobians are those of the base path: sin'(Wx) W.
        js = [torch.cos(x @ W.T)[:, :, None] * W for x in base[:-1]]
        for row, mark in enumerate((1, 3, 5)):
            total = torch.zeros(3, dtype=F64)
            for n in range(-1, mark):
                push = injection.start if n < 0 else injection.after(n)
                if push is None:
                    continue
                p = one.expand(3, 6, 6)
                for j in js[n + 1 : mark]:
                    p = j @ p
                total = total + torch.linalg.matrix_norm(p[:, of][:, :, of], 2) * 1e-7 * push.norm(dim=-1)
            torch.testing.assert_close(got.bounds["product"][row], total, rtol=1e-5, atol=0)


def test_first_order_jacobians_would_not_do() -> None:
    """Control: with Jacobians at the base path in place of mean-value ones the "bound" is broken."""

    def convex(n, x, a, xi):
        return x + 0.4 * x**2

    driven = DrivenMap(convex, 1, 3)
    base = base_states(driven, torch.tensor([[0.5], [1.0]], dtype=F64))
    injection, one = injections("initial", raw_unit(1), 2, 3, 1, 0)[0], torch.eye(1, dtype=F64)
    injection.start.abs_()
    got = path_bounds(driven, base, [injection], 0.5, torch.tensor([0]), (one, one), [3], Matrices())[0]
    torch.testing.assert_close(got.bounds["product"], got.error)
    at_base = 0.5 * (1.0 + 0.8 * base[:-1, :, 0]).prod(0)
    assert bool((at_base < 0.9 * got.error[0]).all())


def test_none_are_made_without_states_for_them() -> None:
    d = divergence(torch.sin, normal(4, 2), horizon=3, bound_states=0)
    assert d.bounds == ()
    assert "Bounds" not in d.explain()
