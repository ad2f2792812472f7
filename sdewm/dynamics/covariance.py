"""The covariance of a zero-drift error given the base's noise: how a rollout's Jacobians spread it."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..exceptions import HypothesisFails, InvalidArgument, Refused
from ..grid import TimeGrid
from .categorical import CONTINUOUS, NO_DERIVATIVE, CategoricalMap
from .derivative_check import check_derivatives
from .derivatives import directional
from .error import RepresentationError
from .member import Member, State, columns_of, step_map_of
from .step_error import step_error
from .step_map import StepMap, multiply


class Covaried(NamedTuple):
    """A base state (paths, dim) and the conditional covariance of y₁ there, (paths, dim²), row after row."""

    x: Tensor
    covariance: Tensor

    @property
    def trace(self) -> Tensor:
        """(paths,): Σ_n ‖J_{N−1} … J_{n+1} σ̄_n‖_F², in continuous time ∫ ‖Φ(t, r) σ̄‖_F² dr."""
        dim = self.x.shape[1]
        return self.covariance.reshape(-1, dim, dim).diagonal(dim1=1, dim2=2).sum(1)


@final
@dataclass(frozen=True)
class ErrorCovariance:
    """A member of a coupled simulation: x⁰ with C = E[y₁ y₁ᵀ | B], for a zero-drift error with independent noise.

    With J the Jacobian of the base's step, noise included, C_{n+1} = J C_n Jᵀ + σ̄ σ̄ᵀ, so that

        tr C_N = Σ_n ‖J_{N−1} … J_{n+1} σ̄_n‖_F²,   in continuous time   ∫₀ᵗ ‖Φ(t, r) σ̄(r, x⁰_r)‖_F² dr.

    The error's noise is averaged out exactly; only the base's is sampled.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap`.
        error: a zero-drift error with correlation "independent".

    Raises:
        Refused: the error has a drift or an initial part, or shares the base's noise: C is then not its covariance.

    Warning:
        The cost of a step grows like dim² derivatives of the step; meant for dimensions up to some tens.
    """

    system: Any
    error: RepresentationError

    def __post_init__(self) -> None:
        if not isinstance(self.error, RepresentationError):
            raise InvalidArgument(f"error must be a RepresentationError, got {type(self.error).__name__}.")
        if self.error.diffusion is None or not self.error.zero_drift or not self.error.independent:
            parts = [name for name in ("drift", "diffusion", "initial") if getattr(self.error, name) is not None]
            raise Refused(
                "error must have a diffusion, no drift, no initial part and correlation='independent', so that its "
                f"covariance given the base's noise exists; got {' and '.join(parts) or 'no part'}, correlation "
                f"{self.error.correlation!r}."
            )


def covariance_member(member: ErrorCovariance, probe: Tensor, a: Tensor | None, grid: TimeGrid) -> Member:
    """The member in the engine's form."""
    if isinstance(member.system, CategoricalMap):
        raise HypothesisFails(NO_DERIVATIVE, CONTINUOUS, declared=True)
    step = step_map_of(member.system, probe, a, grid)
    error = step_error(member.error, step, probe, None if isinstance(member.system, StepMap) else grid)
    check_derivatives(member.system, step, error, probe, a, by_hand=True)
    of = step.derivatives
    spread = error.diffusion
    assert spread is not None

    def advance(n: int, state: State, noise: tuple[Tensor, ...], a: Tensor | None) -> State:
        x, flat = state
        xi = columns_of(noise)
        paths, dim = x.shape
        # All basis vectors in one call: row (path, j) of the result is column j of that path's Jacobian.
        many = x.repeat_interleave(dim, 0)
        basis = torch.eye(dim, dtype=x.dtype, device=x.device).repeat(paths, 1)
        inputs = None if a is None else a.repeat_interleave(dim, 0)
        normals = xi.repeat_interleave(dim, 0)
        if of is None:
            pushed = directional(
                lambda y: step.mean(n, y, inputs) + multiply(step.scale(n, y, inputs), normals), many, basis
            )
        else:
            pushed = of.mean_jvp(n, many, inputs, basis) + multiply(of.scale_jvp(n, many, inputs, basis), normals)
        jacobian = pushed.reshape(paths, dim, dim).transpose(1, 2)
        columns = spread(n, x)
        columns = torch.diag_embed(columns) if columns.ndim == 2 else columns
        covariance = jacobian @ flat.reshape(paths, dim, dim) @ jacobian.transpose(1, 2)
        covariance = covariance + columns @ columns.transpose(1, 2)
        return step.mean(n, x, a) + multiply(step.scale(n, x, a), xi), covariance.reshape(paths, dim * dim)

    def start(x: Tensor, first: int) -> State:
        x = x if step.start is None else step.start(x, first)
        return x, x.new_zeros(len(x), x.shape[1] ** 2)

    return Member(step.noise_groups, start, advance, lambda state: Covaried(*state))
