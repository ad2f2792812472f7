"""Constants of a bound as they are seen between coupled paths."""

import math
from collections.abc import Iterable
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ...constant import Sampled
from ...dynamics.error import RepresentationError
from ...dynamics.step_map import StepMap, time_of
from ...dynamics.system import check_system
from ...exceptions import InvalidArgument, NumericalFailure
from ...grid import TimeGrid
from ...validation import integer
from ..bounds.weighted import Weighted
from .linearised import (
    ERRORS,
    OF_GRID,
    OF_STEP,
    OF_SYSTEM,
    WEIGHTED,
    WEIGHTED_OF_GRID,
    Array,
    Linearised,
    as_columns,
    field_jacobians,
)
from .segments import segment_points


def samplable(system: Any, grid: TimeGrid | None = None, weight: Weighted | None = None) -> tuple[str, ...]:
    """The names of the constants that can be seen between paths of a system.

    Args:
        system: an SDE or a `StepMap`.
        grid: whose step size some of them are for; they are left out without it.
        weight: the bound whose norm some of them are for; likewise.
    """
    if isinstance(system, StepMap):
        return (*OF_STEP, *ERRORS)
    without = () if grid is not None else (*OF_GRID, *WEIGHTED_OF_GRID)
    names = (*OF_SYSTEM, *ERRORS, *OF_GRID, *(WEIGHTED if weight is not None else ()))
    return tuple(name for name in names if name not in without)


@final
class SampledConstants:
    """Suprema over the segments between x⁰ and x^ε, collected over blocks of paths and over times.

    For an equation, at `points` points of each segment: "mu", "spectral" and "frobenius" of the drift's Jacobian, and
    "diffusion", the joint Lipschitz constant λ_max(Σ_k G_kᵀG_k)^½ of the diffusion's columns; for a `StepMap`
    "step_mean" and "step_scale", those of its mean and scale. At x^ε, where the error acts: "drift_error" |σ|,
    "diffusion_error" (Σ_l |σ̄_l|²)^½ and "diffusion_error_operator". Further ones for a grid and a weight: `samplable`.
    All are lowered by what rounding may have added, so that a certified constant is not contradicted by a digit.

    Args:
        system: a `LatentSDE` or any torchsde SDE (a Stratonovich one in its Itô form), or a `StepMap`.
        error: the representation error, or None.
        names: the constants that are wanted, by default all of `samplable`.
        grid, weight: as for `samplable`.
        points: points of each segment, 3 or more; both ends and, for an odd number, the middle are among them.

    Attributes:
        count: number of segments looked at.
        random_base: whether the base had noise anywhere.
        additive_error: whether σ̄ was the same everywhere.

    Raises:
        InvalidArgument: an argument is not as above.

    Warning:
        A supremum that was sampled is no more than a number that the true one reaches: it can show that a bound holds
        on this system, never that it is violated.

    Example:
        >>> from sdewm.drifts import DoubleWell
        >>> seen = SampledConstants(DoubleWell())
        >>> seen.add(0.0, torch.tensor([[-1.0]]), torch.tensor([[1.0]]))
        >>> round(seen.constants()["mu"].value, 4)  # −2 at both ends, 1 in the middle
        1.0
    """

    def __init__(
        self,
        system: Any,
        error: RepresentationError | None = None,
        *,
        names: Iterable[str] | None = None,
        grid: TimeGrid | None = None,
        weight: Weighted | None = None,
        points: int = 5,
    ) -> None:
        there = samplable(system, grid, weight)
        self.names = there if names is None else tuple(dict.fromkeys(names))
        unknown = [name for name in self.names if name not in there]
        if unknown:
            raise InvalidArgument(f"names must be among {', '.join(there)}, got {', '.join(unknown)}.")
        self.points = integer("points", points, least=3)
        self.count, self.random_base, self.additive_error = 0, False, True
        self._system, self._error, self._grid, self._weight = system, error, grid, weight
        self._values: dict[str, float] = {}
        self._first: Array | None = None

    def add(self, t: float, base: Tensor, perturbed: Tensor, actions: Tensor | None = None) -> None:
        """Looks at paths at one time.

        Args:
            t: the time, or the index of the step of a `StepMap`.
            base, perturbed: x⁰ and x^ε on one Brownian path, (paths, dim).
            actions: (paths, action_dim) or (action_dim,), or None.

        Raises:
            InvalidArgument: the shapes differ.
            NumericalFailure: a state or a derivative is not finite.
        """
        seen = self._linearised(t, base, perturbed, actions)
        for name in self.names:
            value = seen.largest(name, self._weight)
            if not math.isfinite(value):
                raise NumericalFailure(f"{name} is {value} between the paths: a state or a derivative is not finite.")
            value -= seen.rounding(name, value, base.dtype)
            self._values[name] = max(value, self._values.get(name, value))
        self._first = seen.diffusion_error[:1] if self._first is None else self._first
        alike = bool(np.allclose(seen.diffusion_error, self._first, rtol=1e-12, atol=0.0))
        self.additive_error = self.additive_error and alike
        self.count += len(base)

    def merge(self, other: "SampledConstants") -> None:
        """Takes in what another one has seen of the same system and error.

        Raises:
            InvalidArgument: it looked at other constants.
        """
        if other.names != self.names:
            raise InvalidArgument(f"other must have the names {', '.join(self.names)}, got {', '.join(other.names)}.")
        for name, value in other._values.items():
            self._values[name] = max(value, self._values.get(name, value))
        if self._first is not None and other._first is not None:
            alike = bool(np.allclose(other._first, self._first, rtol=1e-12, atol=0.0))
            self.additive_error = self.additive_error and alike
        self._first = other._first if self._first is None else self._first
        self.additive_error = self.additive_error and other.additive_error
        self.random_base = self.random_base or other.random_base
        self.count += other.count

    def constants(self) -> dict[str, Sampled]:
        """What was seen, by name.

        Raises:
            InvalidArgument: nothing was added yet.
        """
        if not self.count:
            raise InvalidArgument("no states were added: call add(t, base, perturbed) first.")
        where = f"{self.points} points of each of {self.count} segments"
        return {name: Sampled(value, where) for name, value in self._values.items()}

    def _linearised(self, t: float, base: Tensor, perturbed: Tensor, actions: Tensor | None) -> Linearised:
        x = segment_points(base, perturbed, self.points)
        a = _action_rows(actions, len(base), self.points)
        if isinstance(self._system, StepMap):
            step, n = self._system, int(t)
            time = time_of(None, n, x)
            drift, diffusion = (lambda y, b: step.mean(n, y, b)), (lambda y, b: step.scale(n, y, b))
        else:
            time = torch.tensor(t, dtype=x.dtype, device=x.device)
            checked = check_system(self._system, x[:2], None if a is None else a[:2].to(x))
            drift, diffusion = (lambda y, b: checked.drift(time, y, b)), (lambda y, b: checked.diffusion(time, y, b))
        with torch.no_grad():
            g = diffusion(x, None if a is None else a.to(x))
            self.random_base = self.random_base or bool(g.abs().max() > 0.0)
            error = self._error
            sigma = torch.zeros_like(perturbed)
            sigma_bar = perturbed.new_zeros(*perturbed.shape, 1)
            if error is not None and error.drift is not None:
                sigma = error.drift(time, perturbed)
            if error is not None and error.diffusion is not None:
                sigma_bar = as_columns(error.diffusion(time, perturbed))
        return Linearised(
            field_jacobians(drift, x, a),
            field_jacobians(diffusion, x, a),
            0 if g.ndim == 2 else int(g.shape[2]),
            sigma.double().cpu().numpy(),
            sigma_bar.double().cpu().numpy(),
            None if self._grid is None else self._grid.h,
        )


def _action_rows(actions: Tensor | None, paths: int, points: int) -> Tensor | None:
    """Actions (paths, action_dim) or (action_dim,) for every point of every segment."""
    if actions is None:
        return None
    if actions.ndim == 1:
        actions = actions.expand(paths, -1)
    if actions.ndim != 2 or len(actions) != paths:
        raise InvalidArgument(
            f"actions must have shape ({paths}, action_dim) or (action_dim,), got {tuple(actions.shape)}."
        )
    return actions.repeat(points, 1)
