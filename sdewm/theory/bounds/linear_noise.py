"""The linear noise approximation: the covariance of an error that is small enough to be linear."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...dynamics import RepresentationError, StepMap
from ...dynamics.derivatives import directional
from ...dynamics.step_error import step_error
from ...dynamics.step_map import StepField
from ...dynamics.system import check_system
from ...exceptions import HypothesisFails, InvalidArgument, NumericalFailure, Refused
from ...grid import TimeGrid
from ...validation import TensorLike, positive, tensor
from .rollout import as_step

Array = NDArray[np.float64]
Linearised = tuple[Array, Array, Array]


@final
@dataclass(frozen=True)
class LinearNoise:
    """The covariance of the error in the linear noise approximation.

    Attributes:
        covariances: C at all grid times, (steps + 1, dim, dim).
    """

    covariances: Array

    @property
    def rms(self) -> Array:
        """(tr C)^½ at all grid times, (steps + 1,)."""
        return np.asarray(np.sqrt(np.trace(self.covariances, axis1=1, axis2=2)))


def linear_noise(
    system: Any,
    error: RepresentationError,
    x0: TensorLike,
    grid: TimeGrid,
    *,
    eps: float,
    initial: Tensor | None = None,
    discrete: bool = False,
) -> LinearNoise:
    """C' = AC + CAᵀ + Σ_k G_k C G_kᵀ + ε² Σ_l σ̄_l σ̄_lᵀ with A = Dg, G_k = Dḡ_k along the base's noise-free path.

    This is E eeᵀ of the error's linear equation, closed where A and G_k are deterministic and E e = 0 (then the
    correlation of the two noises does not enter). The discrete form is the recursion of the simulated step,
    C' = J C Jᵀ + Σ_k S_k C S_kᵀ + ε² Σ_l σ̄_l σ̄_lᵀ with J and S_k the derivatives of its mean and its scale columns.

    It degrades with the growth of the error. For dx = (x − x³) dt from 0 with the initial error ±ε, equally likely, the
    flow takes ε to εe^T/√(1 + ε²(e^{2T} − 1)) and the approximation to εe^T: the truth is 1/√(1 + ε²(e^{2T} − 1)) times
    the approximation.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap` (then the error is per step).
        error: with a diffusion part or none; a drift error moves the mean, and is refused.
        x0: the base's start, (dim,).
        grid: time grid.
        eps: size of the error, above zero.
        initial: covariance E ηηᵀ of a centred initial error ε η, (dim, dim); by default there is none.
        discrete: whether to take the Euler steps of the grid in place of the equation.

    Raises:
        Refused: the error has a drift or a start of its own, or the system takes actions.
        HypothesisFails: the base has noise on its path, and A or G_k depends on the state.
        InvalidArgument: a shape is wrong.
        NumericalFailure: the path or the covariance is not finite.

    Source: van Kampen, Stochastic Processes in Physics and Chemistry, chapter X; Gardiner, Stochastic Methods, 7.3.

    Warning:
        No bound: how far the error is from linear is not checked. Where the base has noise, that A and G_k do not
        depend on the state is checked at two states beside the path only.

    Example:
        >>> from sdewm import RepresentationError, TimeGrid
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
        >>> found = linear_noise(Linear(a=1.0), error, torch.zeros(1), TimeGrid(1.0, 4), eps=0.05)
        >>> bool(abs(found.rms[-1] - 0.05 * ((np.exp(2.0) - 1.0) / 2.0) ** 0.5) < 1e-9)
        True
    """
    if error.drift is not None or error.initial is not None:
        raise Refused(
            "error must have no drift and no start of its own: C is the covariance of a centred error; give `initial`, "
            "the covariance of a centred initial error."
        )
    positive("eps", eps)
    x0 = tensor("x0", x0)
    if x0.ndim != 1:
        raise InvalidArgument(f"x0 must have shape (dim,), got {tuple(x0.shape)}: the base has one path.")
    if getattr(system, "action_dim", 0):
        raise Refused("system takes actions; put them into the step or the system, as functions of the time.")
    x, dim = x0.detach().double(), len(x0)
    start = np.zeros((dim, dim)) if initial is None else eps**2 * tensor("initial", initial).detach().double().numpy()
    if start.shape != (dim, dim) or not np.allclose(start, start.T) or np.linalg.eigvalsh(start).min() < -1e-12:
        raise InvalidArgument(f"initial must be a covariance of shape {(dim, dim)}: symmetric and not negative.")
    if isinstance(system, StepMap) or discrete:
        covariances = _discrete(system, error, x, grid, eps, start)
    else:
        covariances = _continuous(system, error, x, grid, eps, start)
    if not np.isfinite(covariances).all():
        raise NumericalFailure("the linear noise approximation is not finite; use a shorter horizon.")
    return LinearNoise(covariances)


def _discrete(system: Any, error: RepresentationError, x: Tensor, grid: TimeGrid, eps: float, c: Array) -> Array:
    step = as_step(system, grid, None, x[None])
    local = step_error(error, step, x[None], None if step is system else grid)
    result = [c]
    with torch.no_grad():
        for n in range(grid.steps):
            diffusion = None if local.diffusion is None else partial(local.diffusion, n)
            mean, scale = (partial(_without_action, field, n) for field in (step.mean, step.scale))
            jacobian, columns, extra = _linearise(mean, scale, diffusion, x)
            c = jacobian @ c @ jacobian.T + np.einsum("kij,jl,kml->im", columns, c, columns) + eps**2 * extra
            x = step.mean(n, x[None], None)[0]
            result.append(c)
    return np.stack(result)


def _without_action(field: StepField, n: int, x: Tensor) -> Tensor:
    return field(n, x, None)


def _continuous(system: Any, error: RepresentationError, x: Tensor, grid: TimeGrid, eps: float, c: Array) -> Array:
    from scipy.integrate import solve_ivp  # here, so that importing the package stays quick

    checked, dim = check_system(system, x[None]), len(x)
    diffusion = error.diffusion

    def slope(time: float, state: Array) -> Array:
        y, cov = torch.from_numpy(state[:dim].copy()), state[dim:].reshape(dim, dim)
        t = torch.tensor(time, dtype=torch.float64)
        with torch.no_grad():
            jacobian, columns, extra = _linearise(
                lambda z: checked.drift(t, z, None),
                lambda z: checked.diffusion(t, z, None),
                None if diffusion is None else (lambda z: diffusion(t, z)),
                y,
            )
            moved = checked.drift(t, y[None], None)[0].numpy()
        grown = jacobian @ cov + cov @ jacobian.T + np.einsum("kij,jl,kml->im", columns, cov, columns)
        return np.concatenate((moved, (grown + eps**2 * extra).ravel()))

    begin = np.concatenate((x.numpy(), c.ravel()))
    solved = solve_ivp(slope, (0.0, grid.T), begin, method="DOP853", t_eval=grid.times, rtol=1e-10, atol=1e-14)
    if not solved.success:
        raise NumericalFailure(f"the linear noise approximation was not integrated to T: {solved.message}")
    return np.asarray(solved.y[dim:].T.reshape(-1, dim, dim))


def _linearise(
    drift: Callable[[Tensor], Tensor],
    diffusion: Callable[[Tensor], Tensor],
    extra: Callable[[Tensor], Tensor] | None,
    x: Tensor,
) -> Linearised:
    """A (dim, dim), the G_k (noise_dim, dim, dim) and Σ_l σ̄_l σ̄_lᵀ (dim, dim) at one state."""
    jacobian, columns = _jacobians(drift, diffusion, x)
    if bool(diffusion(x[None]).any()):
        _check_deterministic(drift, diffusion, x, jacobian, columns)
    if extra is None:
        return jacobian, columns, np.zeros((len(x), len(x)))
    sigma = extra(x[None])[0].numpy()
    return jacobian, columns, np.diag(sigma**2) if sigma.ndim == 1 else sigma @ sigma.T


def _jacobians(
    drift: Callable[[Tensor], Tensor], diffusion: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Array, Array]:
    rows, eye = x.expand(len(x), -1), torch.eye(len(x), dtype=x.dtype)
    jacobian = directional(drift, rows, eye).T
    # (j, i, k): the derivative by x_j of entry i of column k.
    slopes = directional(diffusion, rows, eye)
    slopes = torch.diag_embed(slopes) if slopes.ndim == 2 else slopes
    return jacobian.numpy(), slopes.permute(2, 1, 0).numpy()


def _check_deterministic(
    drift: Callable[[Tensor], Tensor], diffusion: Callable[[Tensor], Tensor], x: Tensor, jacobian: Array, columns: Array
) -> None:
    shift = (1.0 + x.abs()) * torch.cos(torch.arange(len(x), dtype=x.dtype))
    for factor in (0.3, -0.7):
        others = _jacobians(drift, diffusion, x + factor * shift)
        for one, other in zip((jacobian, columns), others, strict=True):
            if not np.allclose(one, other, rtol=1e-8, atol=1e-10):
                raise HypothesisFails(
                    "the base has noise on its path and its derivatives depend on the state, so that A and G_k are "
                    "random and the covariance does not close; take a base without noise, or an affine one.",
                    "deterministic linearisation",
                )
