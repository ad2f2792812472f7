"""The discrete Alekseev–Gröbner identity: where the error of a rollout comes from, step by step."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ...dynamics import StepMap
from ...exceptions import InvalidArgument
from ...validation import TensorLike, tensor
from .rollout import check_rollout, move, push, start_of


@final
@dataclass(frozen=True)
class Telescope:
    """The error of a rollout and the terms it is the sum of, path by path.

    Attributes:
        error: e_N = x^ε_N − x⁰_N, (paths, dim).
        initial: what the initial error has become at the end, (paths, dim).
        local: what the error made in each step has become at the end, (steps, paths, dim).
    """

    error: Tensor
    initial: Tensor
    local: Tensor

    @property
    def residual(self) -> Tensor:
        """|e_N − the sum of all terms|, (paths,)."""
        gap: Tensor = self.error - self.initial - self.local.sum(0)
        return gap.square().sum(1).sqrt()


def alekseev_groebner(
    base: StepMap,
    perturbed: StepMap,
    x0: TensorLike,
    normals: TensorLike,
    *,
    actions: TensorLike | None = None,
    linearised: bool = False,
) -> Telescope:
    """e_N = [X_{0,N}(x^ε_0) − X_{0,N}(x⁰_0)] + Σ_n [X_{n+1,N}(F^ε_n(x^ε_n)) − X_{n+1,N}(F_n(x^ε_n))].

    F_n and F^ε_n are one step of the base and of the perturbed map on the same normals, X_{n,N} is the base's rollout
    from n to N. The sum telescopes, since X_{n+1,N}(F_n(x)) = X_{n,N}(x): an identity for any two maps, at any size of
    their difference. Linearised, every difference of rollouts becomes Φ(N, n+1) times the local error, with Φ the
    product of the step's Jacobians along the *base* path; that is right up to second order in the error only.

    Args:
        base, perturbed: the two maps; where the perturbed one has more noise columns, the base's are the first.
        x0: the base's start, (paths, dim); a perturbed map with a start of its own begins there.
        normals: (steps, paths, m), as from `draw_normals`.
        actions: (steps, action_dim), the same for all paths.
        linearised: whether to take the linear form.

    Returns:
        A `Telescope`. Its time is quadratic in the number of steps.

    Raises:
        InvalidArgument: the shapes do not fit together.

    Source: Alekseev 1961, Gröbner 1960, for differential equations; Hairer, Nørsett, Wanner, Solving Ordinary
    Differential Equations I, theorem I.14.5. The discrete identity is elementary.

    Warning:
        That both maps treat every path (row) apart from the others, and are deterministic given the normals, is not
        checked.

    Example:
        >>> import torch
        >>> from sdewm import RepresentationError, TimeGrid, euler_map, perturb
        >>> from sdewm.drifts import DoubleWell
        >>> from sdewm.theory.bounds.rollout import draw_normals
        >>> grid, error = TimeGrid(1.0, 8), RepresentationError(drift=lambda t, x: torch.cos(x), initial=1.0)
        >>> base, other = (euler_map(s, grid) for s in (DoubleWell(), perturb(DoubleWell(), error, eps=0.1)))
        >>> x0 = torch.full((5, 1), 0.5, dtype=torch.float64)
        >>> normals = draw_normals(other, grid, 5, seed=0)
        >>> bool(alekseev_groebner(base, other, x0, normals).residual.max() < 1e-14)
        True
        >>> bool(alekseev_groebner(base, other, x0, normals, linearised=True).residual.max() > 1e-4)
        True
    """
    if base.dim != perturbed.dim or base.noise_dim > perturbed.noise_dim:
        raise InvalidArgument(
            f"perturbed must have the base's dim and at least its noise columns, ({base.dim}, {base.noise_dim}), got "
            f"({perturbed.dim}, {perturbed.noise_dim})."
        )
    x, drawn = tensor("x0", x0), tensor("normals", normals)
    held = None if actions is None else tensor("actions", actions)
    for step in (base, perturbed):
        check_rollout(step, x, drawn, held)
    with torch.no_grad():
        return (_linear if linearised else _exact)(base, perturbed, x, drawn, held)


def _exact(base: StepMap, perturbed: StepMap, x0: Tensor, normals: Tensor, actions: Tensor | None) -> Telescope:
    y = start_of(perturbed, x0)
    # Pairs of base rollouts whose difference is one term each, advanced side by side: (terms, 2, paths, dim).
    pairs = torch.stack((y, start_of(base, x0)))[None]
    for n, xi in enumerate(normals):
        rows = pairs.reshape(-1, base.dim)
        moved = move(base, n, rows, xi.repeat(len(rows) // len(xi), 1), actions).reshape(pairs.shape)
        kept, y = move(base, n, y, xi, actions), move(perturbed, n, y, xi, actions)
        pairs = torch.cat((moved, torch.stack((y, kept))[None]))
    terms = pairs[:, 0] - pairs[:, 1]
    return Telescope(y - pairs[0, 1], terms[0], terms[1:])


def _linear(base: StepMap, perturbed: StepMap, x0: Tensor, normals: Tensor, actions: Tensor | None) -> Telescope:
    x, y = start_of(base, x0), start_of(perturbed, x0)
    terms = (y - x)[None]
    for n, xi in enumerate(normals):
        count = len(terms)
        rows = terms.reshape(-1, base.dim)
        pushed = push(base, n, x.repeat(count, 1), rows, xi.repeat(count, 1), actions).reshape(terms.shape)
        kept, y = move(base, n, y, xi, actions), move(perturbed, n, y, xi, actions)
        terms, x = torch.cat((pushed, (y - kept)[None])), move(base, n, x, xi, actions)
    return Telescope(y - x, terms[0], terms[1:])
