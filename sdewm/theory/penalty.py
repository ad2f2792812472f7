"""A zero-drift error as a Jacobian penalty on the rollout."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import torch
from torch import Tensor

from ..dynamics.covariance import ErrorCovariance
from ..dynamics.error import RepresentationError
from ..dynamics.start import Start
from ..estimate import Estimate
from ..grid import TimeGrid
from ..validation import TensorLike
from .effect import effect_problem
from .losses import SquaredDistance


def rollout_penalty(
    system: Any,
    error: RepresentationError,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    scheme: str = "auto",
    assume: Sequence[str] = (),
    executor: Executor | None = None,
) -> Estimate:
    """½ E ∫₀ᵗ ‖Φ(t, r) σ̄(r, x⁰_r)‖_F² dr: the Jacobian penalty that a zero-drift error amounts to at interpolation.

    Φ(t, r) = ∂x_t/∂x_r is the Jacobian of the rollout from r to t along its own noise. Where the loss is ½|x − y|² and
    the model interpolates, y = x⁰_t on every path, a zero-drift error with independent noise changes it by

        R = ½ E |x^ε_t − x⁰_t|² = ε² · ½ E ∫ ‖Φ(t, r) σ̄‖_F² dr + O(ε³),

    so that training under it penalises these Jacobians, weighted by σ̄. Away from interpolation R has more terms and
    may be negative (see `expand`).

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap` (then the integral is a sum over steps).
        error: a zero-drift error with correlation "independent".
        x0, grid, paths, seed, actions, dtype, scheme, assume, executor: as for `expand`. The bias of first order in the
            step is removed wherever `expand` removes it.

    Returns:
        An `Estimate`, in the unit of x²; the error's own noise is averaged out exactly.

    Raises:
        Refused: the error has a drift or an initial part, or shares the base's noise.
        InvalidArgument, HypothesisFails, NumericalFailure: as for `expand`.

    Warning:
        A step costs `dim` Jacobian columns a path; meant for dimensions up to some tens.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, the regularisation by zero-drift errors (as reconstructed).

    Example:
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")
        >>> penalty = rollout_penalty(Linear(a=-0.5), error, 1.0, TimeGrid(1.0, 64), paths=2)
        >>> abs(penalty.value - 0.316) < 1e-3  # ½ (1 − exp(−1))
        True
    """
    ErrorCovariance(system, error)  # refuses what it does not cover
    problem = effect_problem(
        system,
        error,
        SquaredDistance(factor=0.5),
        x0,
        grid,
        paths,
        seed,
        actions=actions,
        dtype=dtype,
        scheme=scheme,
        assume=assume,
        executor=executor,
    )
    members = {"spread": ErrorCovariance(problem.system, problem.error)}
    return problem.moments(members, _half_trace).estimates()[0]


def _half_trace(states: Mapping[str, Any]) -> list[Tensor]:
    return [0.5 * states["spread"].trace]
