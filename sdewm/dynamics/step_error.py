"""A representation error in the units of one step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..grid import TimeGrid
from .error import ErrorDerivative, ErrorField, Initial, RepresentationError
from .step_map import StepMap, multiply, time_of


@final
@dataclass(frozen=True)
class StepError:
    """A representation error in the units of one step, with its noise split into the base's and its own.

    ω = ξ ρ + ζ (I − ρᵀρ)^½ are the error's normals, ξ the base's and ζ fresh ones.
    """

    drift: Callable[[float, Tensor], Tensor] | None
    diffusion: Callable[[float, Tensor], Tensor] | None
    drift_jvp: Callable[[float, Tensor, Tensor], Tensor] | None
    diffusion_jvp: Callable[[float, Tensor, Tensor], Tensor] | None
    initial: Initial | None
    shared: float | Tensor
    own: float | Tensor
    noise_dim: int

    @property
    def own_dim(self) -> int:
        """Number of fresh normals a step."""
        return 0 if isinstance(self.own, float) and self.own == 0.0 else self.noise_dim

    def normals(self, xi: Tensor, zeta: Tensor | None) -> Tensor:
        """ω from the base's normals ξ (paths, m) and the error's own ζ (paths, m̄)."""
        if isinstance(self.shared, float) and isinstance(self.own, float):
            if zeta is None:
                return xi if self.shared == 1.0 else self.shared * xi
            return self.own * zeta if self.shared == 0.0 else torch.add(self.own * zeta, xi, alpha=self.shared)
        assert isinstance(self.shared, Tensor)
        assert isinstance(self.own, Tensor)
        assert zeta is not None
        return xi @ self.shared.to(xi) + zeta @ self.own.to(xi)

    def start(self, x: Tensor, first: int = 0) -> Tensor | None:
        """η for the rows of x, whose first row is path number `first`."""
        eta = self.initial
        if eta is None:
            return None
        if callable(eta):
            eta = eta(x)
        value = torch.as_tensor(eta, dtype=x.dtype, device=x.device)
        if not bool(torch.isfinite(value).all()):
            raise InvalidArgument("initial must be finite, but some entries are NaN or infinite.")
        if value.ndim == 2 and len(value) > 1 and not callable(self.initial):
            value = value[first : first + len(x)]
        try:
            return value.expand(x.shape)
        except RuntimeError:
            raise InvalidArgument(
                f"initial must be a number or have shape (dim,) or (paths, dim) with dim = {x.shape[1]} and at least "
                f"{first + len(x)} paths, got {tuple(torch.as_tensor(eta).shape)}."
            ) from None


def step_error(error: RepresentationError, step: StepMap, x: Tensor, grid: TimeGrid | None) -> StepError:
    """`error` in the units of one step of `step`, its shapes checked at the states x.

    Args:
        error: the error; with `grid` it is per unit of time (h σ and √h σ̄ a step), without it per step.
        step: the base.
        x: states (paths, dim).
        grid: the grid of an Euler map, or None.

    Raises:
        InvalidArgument: a shape is wrong, or ρ does not fit the two noises.
    """
    h = 1.0 if grid is None else grid.h
    root = h**0.5

    def time(n: float, y: Tensor) -> Tensor:
        return time_of(grid, n, y)

    def field(label: str, function: ErrorField | None, factor: float) -> Callable[[float, Tensor], Tensor] | None:
        if function is None:
            return None
        tail = _evaluate(label, function, time(0, x), x).shape[1:]

        def scaled(n: float, y: Tensor) -> Tensor:
            value = _evaluate(label, function, time(n, y), y)
            if not isinstance(value, Tensor) or value.shape != (len(y), *tail) or value.dtype != y.dtype:
                got = f"{tuple(value.shape)} and {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
                raise InvalidArgument(
                    f"the error's {label} must return shape {(len(y), *tail)} and {y.dtype} at all times, got {got} at "
                    f"t = {float(time(n, y)):g}."
                )
            return value * factor

        return scaled

    def derivative(function: ErrorDerivative | None, factor: float) -> Callable[[float, Tensor, Tensor], Tensor] | None:
        return None if function is None else (lambda n, y, v: factor * function(time(n, y), y, v))

    noise_dim = _check_error_shapes(error, time(0, x), x)
    shared, own = _split(error.correlation, step.noise_dim, noise_dim)
    return StepError(
        field("drift", error.drift, h),
        field("diffusion", error.diffusion, root),
        derivative(error.drift_jvp, h),
        derivative(error.diffusion_jvp, root),
        error.initial,
        shared,
        own,
        noise_dim,
    )


def _evaluate(label: str, function: ErrorField, t: Tensor, x: Tensor) -> Any:
    try:
        value = function(t, x)
    except (RuntimeError, IndexError, TypeError) as error:
        first_line = str(error).partition("\n")[0]
        raise InvalidArgument(
            f"the error's {label} failed on (t, x) with x of shape {tuple(x.shape)} and {x.dtype}: {first_line}."
        ) from error
    return value


def _check_error_shapes(error: RepresentationError, t: Tensor, x: Tensor) -> int:
    paths, dim = x.shape
    if error.drift is not None:
        sigma = _evaluate("drift", error.drift, t, x)
        if not isinstance(sigma, Tensor) or sigma.shape != x.shape:
            raise InvalidArgument(
                f"the error's drift must return shape (paths, dim) = {(paths, dim)}, got {_shape(sigma)}; "
                f"for a constant use torch.full_like(x, c)."
            )
        _check_error_dtype("drift", sigma, x)
    if error.diffusion is None:
        return 0
    sigma_bar = _evaluate("diffusion", error.diffusion, t, x)
    if not isinstance(sigma_bar, Tensor) or sigma_bar.shape[:2] != x.shape or sigma_bar.ndim not in (2, 3):
        raise InvalidArgument(
            f"the error's diffusion must return shape (paths, dim) = {(paths, dim)} or (paths, dim, m), "
            f"got {_shape(sigma_bar)}; for a constant use torch.full_like(x, c)."
        )
    _check_error_dtype("diffusion", sigma_bar, x)
    return dim if sigma_bar.ndim == 2 else int(sigma_bar.shape[2])


def _check_error_dtype(label: str, value: Tensor, x: Tensor) -> None:
    if value.dtype != x.dtype:
        raise InvalidArgument(
            f"the error's {label} returned {value.dtype} for a state of {x.dtype}; convert it, for example with .to(x)."
        )


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _split(rho: str | float | Tensor, base: int, error: int) -> tuple[float | Tensor, float | Tensor]:
    if isinstance(rho, Tensor) and rho.ndim == 2:
        if error and rho.shape != (base, error):
            raise InvalidArgument(
                f"correlation must have shape (base noises, error noises) = {(base, error)}, got {tuple(rho.shape)}."
            )
        rho = rho.double()
        # Eigenvalues of I − ρᵀρ that rounding has pushed below zero belong to directions fully shared with the base.
        values, vectors = torch.linalg.eigh(torch.eye(rho.shape[1], dtype=rho.dtype) - rho.T @ rho)
        return rho, (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
    c = {"shared": 1.0, "independent": 0.0}[rho] if isinstance(rho, str) else float(rho)
    if c != 0.0 and error and base != error:
        raise InvalidArgument(
            f"correlation {rho!r} needs as many error noises as base noises, got {error} and {base}; "
            f"give a ({base}, {error}) matrix, or use 'independent'."
        )
    return c, (1.0 - c * c) ** 0.5 if error else 0.0


def noise_groups(base: tuple[tuple[str, int], ...], error: StepError) -> tuple[tuple[str, int], ...]:
    """The base's groups of noise columns, and one for the error's own noise where it has any."""
    return (*base, (f"error-{len(base)}", error.own_dim)) if error.own_dim else base


def add_error(
    error: StepError, eps: float | Tensor, n: int, x: Tensor, mean: Tensor, xi: Tensor, zeta: Tensor | None
) -> Tensor:
    """mean + ε σ + ε σ̄ ω, the error's part of one perturbed step."""
    if error.drift is not None:
        mean = mean + eps * error.drift(n, x)
    if error.diffusion is not None:
        mean = mean + eps * multiply(error.diffusion(n, x), error.normals(xi, zeta))
    return mean
