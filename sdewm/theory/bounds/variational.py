"""The first-order bound along base paths: norms of products of step Jacobians."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ...dynamics import RepresentationError, perturb
from ...exceptions import InvalidArgument, Refused
from ...grid import TimeGrid
from ...validation import TensorLike, integer, tensor
from .rollout import as_step, check_rollout, draw_normals, move, start_of, step_jacobian


@final
@dataclass(frozen=True)
class FirstOrderBound:
    """A bound on |e_N| on each path, up to second order in ε.

    Attributes:
        initial: ‖Φ(t_N, 0)‖ |e_0|, (paths,).
        drift: Σ_n ‖Φ(t_N, t_{n+1})‖ |d_n|, (paths,), with d_n the step's drift error, hεσ for an Euler step.
    """

    initial: Tensor
    drift: Tensor

    @property
    def value(self) -> Tensor:
        """The sum of both, (paths,)."""
        return self.initial + self.drift


def variational(
    system: Any,
    error: RepresentationError,
    x0: TensorLike,
    grid: TimeGrid,
    paths: int,
    seed: int,
    *,
    eps: float,
    actions: TensorLike | None = None,
) -> FirstOrderBound:
    """|e_t| <= ‖Φ(t, 0)‖ |e_0| + ε ∫ ‖Φ(t, r)‖ |σ(r)| dr + O(ε²), on each path of the base.

    For drift and initial errors e = ε y₁ + O(ε²) with y₁ = Φ(t, 0) η + ∫ Φ(t, r) σ dr; here on the simulated steps,
    with Φ(t_N, t_n) the product of the step's Jacobians along the base path, and spectral norms. Both are taken on the
    base's path alone, at `dim` directional derivatives a step.

    Args:
        system: a `LatentSDE`, any torchsde SDE (by Euler steps), or a `StepMap` (then the error is per step).
        error: with a drift or an initial part, and no diffusion.
        x0: the base's start, (paths, dim) or (dim,).
        grid: time grid; the bound is on its last time.
        paths: number of paths.
        seed: seed of the base's noise, the same paths as in `simulate_coupled`.
        eps: size of the error, above zero.
        actions: (steps, action_dim), the same for all paths.

    Raises:
        Refused: the error has a diffusion part: ∫ Φ(t, r) σ̄ dW is no integral of norms.
        InvalidArgument: a shape is wrong, or eps is not above zero.

    Source: variation of constants; first order of the Alekseev–Gröbner identity.

    Warning:
        Not certified: the remainder O(ε²) is not bounded, and grows like the second derivative of the flow.

    Example:
        >>> from sdewm import RepresentationError, TimeGrid
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(initial=1.0)
        >>> found = variational(Linear(a=-1.0), error, torch.zeros(1), TimeGrid(1.0, 4), 2, 0, eps=0.1)
        >>> [round(v, 6) for v in found.value.tolist()]  # 0.1 (1 − h)⁴
        [0.031641, 0.031641]
    """
    if error.diffusion is not None:
        raise Refused(
            "error has a diffusion part, which the first-order bound does not cover: a stochastic integral is not "
            "bounded path by path; use a bound on the root mean square."
        )
    paths = integer("paths", paths, least=1)
    x0 = tensor("x0", x0)
    actions = None if actions is None else tensor("actions", actions)
    if x0.ndim not in (1, 2) or (x0.ndim == 2 and len(x0) not in (1, paths)):
        raise InvalidArgument(f"x0 must have shape (dim,) or (paths, dim), got {tuple(x0.shape)} for {paths} paths.")
    rows = x0.double().expand(paths, x0.shape[-1])
    base = as_step(system, grid, actions, rows)
    perturbed = as_step(perturb(system, error, eps, x0=None if base is system else rows), grid, actions, rows)
    normals = draw_normals(base, grid, paths, seed)
    check_rollout(base, rows, normals, actions if base.action_dim else None)
    with torch.no_grad():
        x = start_of(base, rows)
        begin, jacobians, local = torch.linalg.vector_norm(start_of(perturbed, rows) - x, dim=1), [], []
        for n, xi in enumerate(normals):
            jacobians.append(step_jacobian(base, n, x, xi, actions))
            moved = move(base, n, x, xi, actions)
            local.append(torch.linalg.vector_norm(move(perturbed, n, x, xi, actions) - moved, dim=1))
            x = moved
        product = torch.eye(base.dim, dtype=x.dtype).expand(paths, -1, -1)
        drift = torch.zeros(paths, dtype=x.dtype)
        for jacobian, size in zip(reversed(jacobians), reversed(local), strict=True):
            drift = drift + torch.linalg.matrix_norm(product, 2) * size
            product = product @ jacobian
        return FirstOrderBound(torch.linalg.matrix_norm(product, 2) * begin, drift)
