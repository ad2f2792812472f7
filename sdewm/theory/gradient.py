"""The gradient that training under a representation error adds."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..dynamics.derivatives import curve_derivatives
from ..dynamics.error import RepresentationError
from ..dynamics.perturbed import perturb
from ..dynamics.sensitivity import Sensitive, Sensitivity
from ..dynamics.start import Start, rows
from ..estimate import Estimate
from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from ..validation import TensorLike
from .effect import Effect, Loss, effect_problem, sides_of

Direction = Mapping[str, Tensor | float]


def effect_gradient(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    eps: float,
    directions: Mapping[str, Direction] | None = None,
    antithetic: bool | None = None,
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    extrapolate: bool | None = None,
    scheme: str = "auto",
    assume: Sequence[str] = (),
    executor: Executor | None = None,
) -> dict[str, Estimate]:
    """dR/dθ of the effect R(ε) = E ℓ(x^ε) − E ℓ(x⁰) of an error: what it pushes the parameters by.

    Both simulations, on one Brownian path, are differentiated by the parameters of the system along a direction, step
    by step and path by path. A positive effect is not yet a regularisation: training follows −dR/dθ.

    Args:
        system: a `torch.nn.Module` with f and g.
        error, loss, x0, grid, paths, seed, actions, dtype, scheme, assume, executor: as for `expand`.
        eps: size of the error, above zero.
        directions: for each name of your choice a direction in the space of parameters, as in `Sensitivity`; by default
            one direction for each parameter that is a single number.
        antithetic: whether to average over the error's noise and its mirror image, which is allowed for independent
            noise and is the default there: what is of first order in ε then cancels path by path.
        extrapolate: as for `expand`; False gives the gradient of the discrete simulation itself, which is what training
            on this grid sees.

    Returns:
        For each direction the directional derivative of R, an `Estimate` with its interval; all from one run.

    Raises:
        InvalidArgument: an argument is wrong, or there is no parameter with a single number and no direction.
        HypothesisFails, NumericalFailure: as for `expand`.

    Example:
        >>> class Pull(nn.Module):
        ...     noise_type, sde_type = "diagonal", "ito"
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a = nn.Parameter(torch.tensor(-0.5, dtype=torch.float64))
        ...     def f(self, t, x): return self.a * x
        ...     def g(self, t, x): return torch.zeros_like(x)
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
        >>> def loss(x): return (x**2).sum(-1)
        >>> slope = effect_gradient(Pull(), error, loss, [1.0], TimeGrid(1.0, 16), paths=4096, eps=0.2)["a"]
        >>> low, high = slope.interval(0.999)
        >>> low < 0.0211 < high  # ε² d/da (exp(2a) − 1)/(2a)
        True
    """
    if not isinstance(system, nn.Module):
        raise InvalidArgument(f"system must be a torch.nn.Module with parameters, got {type(system).__name__}.")
    if directions is None:
        directions = {name: {name: 1.0} for name, p in system.named_parameters() if p.ndim == 0}
        directions |= {
            name: {name: torch.ones_like(p)} for name, p in system.named_parameters() if p.ndim and p.numel() == 1
        }
    if not isinstance(directions, Mapping) or not all(isinstance(d, Mapping) for d in directions.values()):
        raise InvalidArgument(
            f"directions must map names to directions, each from a parameter's name to a tensor of its shape, got "
            f"{directions!r}."
        )
    if not directions:
        raise InvalidArgument(
            f"directions is needed: no parameter of {type(system).__name__} is a single number; pass "
            "directions={'name': {'parameter': tensor}}."
        )
    problem = effect_problem(
        system,
        error,
        loss,
        x0,
        grid,
        paths,
        seed,
        actions=actions,
        dtype=dtype,
        extrapolate=extrapolate,
        scheme=scheme,
        assume=assume,
        executor=executor,
    )
    errors = sides_of(error, antithetic)
    # A tamed system holds the one that was given as its source.
    prefix = "" if problem.system is system else "source."
    probe = rows(problem.x0, 0, min(problem.paths, 2))
    members: dict[str, Any] = {}
    for name, direction in directions.items():
        along = {prefix + key: value for key, value in direction.items()}
        members[f"base {name}"] = Sensitivity(problem.system, along)
        for side, moved in errors.items():
            members[f"{side}{name}"] = Sensitivity(perturb(problem.system, moved, eps, x0=probe), along)

    observe = partial(_slopes, problem, tuple(errors), tuple(directions))
    return dict(zip(directions, problem.moments(members, observe).estimates(), strict=False))


def _slopes(problem: Effect, sides: Sequence[str], names: Sequence[str], states: Mapping[str, Any]) -> list[Tensor]:
    """dR/ds of every path, for each direction."""

    def slope(state: Sensitive) -> Tensor:
        value = problem.value(state.x).detach()
        along = curve_derivatives(lambda s: problem.loss(state.x + s * state.slope), value, order=1)[1]
        # A loss that is not finite may have finite derivatives: it must be noticed too.
        return along + 0.0 * value

    def mean(name: str) -> Tensor:
        return torch.stack([slope(states[f"{side}{name}"]) for side in sides]).mean(0)

    return [mean(name) - slope(states[f"base {name}"]) for name in names]
