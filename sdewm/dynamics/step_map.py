"""One step of a stochastic map: what an Euler scheme, and a recurrent latent model, have in common."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import TensorLike, tensor
from .derivatives import directional, second_directional
from .system import DifferentiableSDE, check_system, probe_of, system_dtype

StepField = Callable[[int, Tensor, Tensor | None], Tensor]
StepAction = Callable[[int, Tensor, Tensor | None], Tensor | None]


class StepDerivatives(Protocol):
    """First and second directional derivatives of the mean and the scale of a step."""

    def mean_jvp(self, n: int, x: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
        """Directional derivative of the mean along v."""

    def mean_second(self, n: int, x: Tensor, a: Tensor | None, v: Tensor, w: Tensor) -> Tensor:
        """Second derivative of the mean along v and w."""

    def scale_jvp(self, n: int, x: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
        """Directional derivative of the scale along v."""

    def scale_second(self, n: int, x: Tensor, a: Tensor | None, v: Tensor, w: Tensor) -> Tensor:
        """Second derivative of the scale along v and w."""


@final
@dataclass(frozen=True)
class StepMap:
    """x' = mean(n, x, a) + scale(n, x, a) · ξ with ξ standard normal.

    An Euler step of an SDE has this form, and so has the step of a Gaussian recurrent state-space model. Steps that
    are not linear in the noise (Milstein, categorical samplers) are not of this form.

    Args:
        mean: plain callable of the step index n, states (paths, dim) and actions (paths, action_dim) or None,
            returning (paths, dim).
        scale: likewise, returning (paths, dim) for diagonal noise or (paths, dim, noise_dim); zero on any
            coordinates it likes.
        dim: dimension of the state.
        noise_dim: dimension of ξ.
        action_dim: dimension of the actions, 0 for none.
        derivatives: hand-written derivatives of mean and scale, used in place of automatic differentiation.
        start: where the map's own trajectory starts, as a function of the base's start (paths, dim) and the index
            of its first path; `None` starts at the base's start.
        noise: the groups of noise columns as (purpose, width); by default one group for all `noise_dim` columns.
        dtype: the dtype the map computes in, where it insists on one.

    Warning:
        That each path is mapped apart from the others, and that the map is deterministic given ξ, is not checked.

    Example:
        >>> import torch
        >>> halve = StepMap(lambda n, x, a: x / 2, lambda n, x, a: torch.zeros_like(x), dim=2, noise_dim=2)
        >>> halve.mean(0, torch.ones(1, 2), None)
        tensor([[0.5000, 0.5000]])
    """

    mean: StepField
    scale: StepField
    dim: int
    noise_dim: int
    action_dim: int = 0
    derivatives: StepDerivatives | None = None
    start: Callable[[Tensor, int], Tensor] | None = None
    noise: tuple[tuple[str, int], ...] = ()
    dtype: torch.dtype | None = None

    @property
    def noise_groups(self) -> tuple[tuple[str, int], ...]:
        """The groups of noise columns, the base's first."""
        return self.noise or (("paths", self.noise_dim),)


def multiply(scale: Tensor, normals: Tensor) -> Tensor:
    """scale · ξ for a diagonal (paths, dim) or a dense (paths, dim, m) scale."""
    return scale * normals if scale.ndim == 2 else torch.einsum("pdm,pm->pd", scale, normals)


def time_of(grid: TimeGrid | None, n: float | Tensor, like: Tensor) -> Tensor:
    """The time of step n as a tensor without dimensions, in the dtype of the states; without a grid n itself.

    In code that is being compiled n is a tensor, and one piece of code then serves all steps.
    """
    if isinstance(n, Tensor):
        n = n.double()
        return (n if grid is None else grid.T * (n / grid.steps)).to(like)
    return torch.tensor(float(n) if grid is None else grid.time(n), dtype=like.dtype, device=like.device)


def euler_map(
    system: Any, grid: TimeGrid, actions: TensorLike | None = None, *, x0: TensorLike | None = None
) -> StepMap:
    """The Euler–Maruyama step x' = x + h f(t_n, x) + √h g(t_n, x) ξ as a `StepMap`.

    Args:
        system: a `LatentSDE` or any torchsde SDE; a Stratonovich system is converted to Itô.
        grid: time grid; n is its index.
        actions: (steps, action_dim), applied to every path and held over each step; then the map needs no actions
            any more. `None` leaves them to the map's third argument.
        x0: a state (paths, dim) at which shapes are probed; only needed for systems that do not state their `dim`.

    Raises:
        InvalidArgument: a shape, dtype or attribute of the system is wrong.
    """
    probed = probe_of(system, x0)
    action_dim = int(getattr(system, "action_dim", 0))
    probe = probed.new_zeros(len(probed), action_dim) if action_dim else None
    checked = check_system(system, probed, probe)
    held = None if actions is None else tensor("actions", actions)
    if held is not None and held.shape != (grid.steps, action_dim):
        raise InvalidArgument(
            f"actions must have shape (steps, action_dim) = {(grid.steps, action_dim)}, got {tuple(held.shape)}."
        )
    h, root = grid.h, math.sqrt(grid.h)
    source = checked.source
    # The hand-written derivatives of a Stratonovich system are not those of its Itô drift.
    by_hand = isinstance(source, DifferentiableSDE) and source.sde_type == "ito"

    def act(n: int, x: Tensor, a: Tensor | None) -> Tensor | None:
        return a if held is None else held[n].to(x).expand(len(x), -1)

    def time(n: int, x: Tensor) -> Tensor:
        return time_of(grid, n, x)

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return torch.add(x, checked.drift(time(n, x), x, act(n, x, a)), alpha=h)

    def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        return checked.diffusion(time(n, x), x, act(n, x, a)) * root

    return StepMap(
        mean,
        scale,
        checked.dim,
        checked.noise_dim,
        checked.action_dim if actions is None else 0,
        _EulerDerivatives(source, grid, act) if by_hand else None,
        getattr(system, "perturbed_start", None),
        getattr(system, "noise_groups", ()),
        system_dtype(system),
    )


@final
@dataclass(frozen=True)
class _EulerDerivatives:
    system: DifferentiableSDE
    grid: TimeGrid
    act: StepAction

    def _args(self, n: int, x: Tensor, a: Tensor | None) -> tuple[Tensor, ...]:
        a = self.act(n, x, a)
        t = time_of(self.grid, n, x)
        return (t, x) if a is None else (t, x, a)

    def mean_jvp(self, n: int, x: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
        return torch.add(v, self.system.f_jvp(*self._args(n, x, a), v), alpha=self.grid.h)

    def mean_second(self, n: int, x: Tensor, a: Tensor | None, v: Tensor, w: Tensor) -> Tensor:
        return self.grid.h * self.system.f_second(*self._args(n, x, a), v, w)

    def scale_jvp(self, n: int, x: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
        return math.sqrt(self.grid.h) * self.system.g_jvp(*self._args(n, x, a), v)

    def scale_second(self, n: int, x: Tensor, a: Tensor | None, v: Tensor, w: Tensor) -> Tensor:
        return math.sqrt(self.grid.h) * self.system.g_second(*self._args(n, x, a), v, w)


@final
@dataclass(frozen=True)
class AutomaticDerivatives:
    """Derivatives of a step's mean and scale by automatic differentiation."""

    step: StepMap

    def mean_jvp(self, n: int, x: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
        """Directional derivative of the mean along v."""
        return directional(lambda y: self.step.mean(n, y, a), x, v)

    def mean_second(self, n: int, x: Tensor, a: Tensor | None, v: Tensor, w: Tensor) -> Tensor:
        """Second derivative of the mean along v and w."""
        return second_directional(lambda y: self.step.mean(n, y, a), x, v, w)

    def scale_jvp(self, n: int, x: Tensor, a: Tensor | None, v: Tensor) -> Tensor:
        """Directional derivative of the scale along v."""
        return directional(lambda y: self.step.scale(n, y, a), x, v)

    def scale_second(self, n: int, x: Tensor, a: Tensor | None, v: Tensor, w: Tensor) -> Tensor:
        """Second derivative of the scale along v and w."""
        return second_directional(lambda y: self.step.scale(n, y, a), x, v, w)
