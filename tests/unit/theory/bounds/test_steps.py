"""Bounds for step maps: the recursion on maps that attain it, and the product bound path by path."""

import numpy as np
import pytest
import torch
from exact_errors import SOME, is_below, scalar, setting
from systems import F64, fixed
from torch import Tensor

from sdewm import InvalidArgument, Refused, TimeGrid
from sdewm.theory.bounds import LipschitzSteps, LogNorm, Setting, mean_value_jacobian, product_bound

GRID = TimeGrid(1.0, 12)


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_the_recursion_of_a_linear_step(rho: float) -> None:
    # With h = 1 Euler's steps are steps of a map: e' = 0.8 e + 0.05 + (0.3 e + 0.05 ρ) ξ + ...
    unit = TimeGrid(12.0, 12)
    exact = np.sqrt(scalar(unit, -0.2, 0.3, 0.5, 0.5, 0.2, eps=0.1, rho=rho)[:, 2])
    given = {"step_mean": 0.8, "step_scale": 0.3, "drift_error": 0.5, "diffusion_error": 0.5}
    curve = LipschitzSteps().discrete(given, Setting(GRID, 0.1, 0.2, rho))
    assert is_below(exact, curve)
    assert curve[1] == pytest.approx(exact[1])
    for change in ({"drift_error": 0.0, "diffusion_error": 0.0}, {"step_scale": 0.0, "diffusion_error": 0.0}):
        attained = {**given, **change}
        numbers = attained["step_scale"], attained["drift_error"], attained["diffusion_error"]
        exact = np.sqrt(scalar(unit, -0.2, *numbers, 0.2, eps=0.1, rho=rho)[:, 2])
        assert LipschitzSteps().discrete(attained, Setting(GRID, 0.1, 0.2, rho)) == pytest.approx(exact)
    # Control: no scale's Lipschitz constant.
    exact = np.sqrt(scalar(unit, -0.2, 0.3, 0.0, 0.0, 0.2)[:, 2])
    none = {**given, "step_scale": 0.0, "drift_error": 0.0, "diffusion_error": 0.0}
    assert not is_below(exact, LipschitzSteps().discrete(none, Setting(GRID, 0.1, 0.2, rho)))


def test_euler_is_one_of_them() -> None:
    h, where = GRID.h, setting(GRID)
    growth = (1.0 + 2.0 * h * SOME["mu"] + (h * SOME["spectral"]) ** 2) ** 0.5
    given = {
        "step_mean": growth,
        "step_scale": h**0.5 * SOME["diffusion"],
        "drift_error": h * SOME["drift_error"],
        "diffusion_error": h**0.5 * SOME["diffusion_error"],
    }
    assert LipschitzSteps().discrete(given, where) == pytest.approx(LogNorm().discrete(SOME, where))


@pytest.mark.parametrize("name", LipschitzSteps.constants)
def test_it_increases_in_each_constant(name: str) -> None:
    given = dict.fromkeys(LipschitzSteps.constants, 0.5)
    low = LipschitzSteps().discrete(given, setting(GRID))
    assert (LipschitzSteps().discrete({**given, name: 0.6}, setting(GRID))[1:] > low[1:]).all()


def test_there_is_no_equation() -> None:
    with pytest.raises(Refused, match="no continuous bound"):
        LipschitzSteps().continuous({}, setting(GRID))


class Recurrent:
    """A step with a stochastic part, as of a recurrent latent model, and one that errs."""

    W, U = 0.9 * fixed(4, 4, seed=1), 0.4 * fixed(4, 4, seed=2)

    def step(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.tanh(x @ self.W) + 0.2 * torch.sigmoid(x @ self.U) * noise

    def wrong(self, x: Tensor, noise: Tensor) -> Tensor:
        return self.step(x, noise) + 0.02 * torch.cos(3.0 * x)


def rollout(steps: int, start: Tensor, error: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The final |e|, the mean-value Jacobians, those along the base's path, and the sizes of the defects."""
    model, x = Recurrent(), fixed(20, 4, seed=3)
    y = x + start
    exact, linear, defects = [], [], []
    for n in range(steps):
        noise = fixed(20, 4, seed=100 + n)

        def step(z: Tensor, noise: Tensor = noise) -> Tensor:
            # One row at a time under vmap: the noise of a row travels as further columns.
            return model.step(z[:, :4], z[:, 4:])

        def of(first: Tensor, second: Tensor, noise: Tensor = noise) -> Tensor:
            whole = mean_value_jacobian(step, torch.cat((first, noise), 1), torch.cat((second, noise), 1))
            return whole[:, :, :4]

        exact.append(of(x, y))
        linear.append(of(x, x))
        moved = model.wrong(y, noise) if error else model.step(y, noise)
        defects.append((moved - model.step(y, noise)).norm(dim=1))
        x, y = model.step(x, noise), moved
    return (y - x).norm(dim=1), torch.stack(exact), torch.stack(linear), torch.stack(defects)


@pytest.mark.parametrize("error", [False, True])
def test_products_bound_each_path(error: bool) -> None:
    start = 0.5 * torch.ones(4, dtype=F64)
    final, exact, _, defects = rollout(6, start, error)
    bound = product_bound(start.norm().expand(20), exact, defects)
    assert (final <= bound * (1.0 + 1e-12)).all()
    assert (final > 0.02 * bound).all()
    by_norms = torch.linalg.matrix_norm(exact, 2)
    if not error:
        assert (bound <= by_norms.prod(0) * start.norm() * (1.0 + 1e-12)).all()
        # Control: without the last Jacobian's share it fails on paths where that expands.
        assert not (final <= 0.5 * bound).all()


def test_jacobians_along_one_path_bound_nothing() -> None:
    x, y = torch.zeros(1, 1, dtype=F64), torch.ones(1, 1, dtype=F64)
    one = torch.zeros(1, 1, dtype=F64)
    exact = mean_value_jacobian(lambda z: z**2, x, y)[None]
    assert float(product_bound(torch.ones(1, dtype=F64), exact, one)) == pytest.approx(1.0)  # |y² − x²|
    along = mean_value_jacobian(lambda z: z**2, x, x)[None]
    assert float(product_bound(torch.ones(1, dtype=F64), along, one)) == 0.0


def test_products_by_hand() -> None:
    J = fixed(3, 2, 4, 4, seed=5)
    initial, defects = torch.tensor([1.0, 2.0], dtype=F64), fixed(3, 2, seed=6).abs()
    for path in range(2):
        a, b, c = J[:, path]
        by_hand = (
            float(torch.linalg.matrix_norm(c @ b @ a, 2) * initial[path])
            + float(torch.linalg.matrix_norm(c @ b, 2) * defects[0, path])
            + float(torch.linalg.matrix_norm(c, 2) * defects[1, path])
            + float(defects[2, path])
        )
        assert float(product_bound(initial, J, defects)[path]) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    "shapes", [((2,), (3, 1, 4, 4), (3, 2)), ((1,), (3, 2, 4, 4), (3, 2)), ((2,), (3, 2, 4, 4), (3,))]
)
def test_shapes_are_checked(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(InvalidArgument, match="must have shapes"):
        product_bound(*(torch.ones(shape) for shape in shapes))
