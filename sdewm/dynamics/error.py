"""The latent representation error, and the system that it perturbs."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument, Refused
from ..grid import TimeGrid
from ..validation import positive, real
from .step_map import StepMap, multiply
from .system import CheckedSystem, LatentSDE, check_system, system_dtype

ErrorField = Callable[[Tensor, Tensor], Tensor]
ErrorDerivative = Callable[[Tensor, Tensor, Tensor], Tensor]
Initial = float | Tensor | Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True)
class RepresentationError:
    """The error that a latent representation adds to a system: ε σ dt + ε Σ_l σ̄_l dW^l, and ε η at the start.

    A *zero-drift* error has no drift part. The Brownian motion W of the error and B of the base satisfy
    d⟨B^k, W^l⟩ = ρ_kl dt, with the components of W independent of each other.

    Args:
        drift: σ(t, x) -> (paths, dim), or None.
        diffusion: σ̄(t, x) -> (paths, dim) for one noise a coordinate, or (paths, dim, m̄), or None.
        initial: η, a number, a tensor (dim,) or (paths, dim), or a function of the start (paths, dim); or None.
        correlation: ρ, as "shared" (W = B), "independent", a number c (ρ = c I), or an (m, m̄) matrix.
        drift_jvp, diffusion_jvp: optional hand-written directional derivatives (t, x, v), else automatic.

    For a `StepMap` the error is *per step*: mean + ε σ(n, x) and scale noise + ε σ̄(n, x) noise, with the step index in
    place of the time and no factor of the step size.

    Raises:
        InvalidArgument: the error is empty, or ρ is not a correlation (spectral norm above 1).

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, section on latent representation errors (as reconstructed; the
    paper takes W = B).

    Example:
        >>> error = RepresentationError(diffusion=lambda t, x: 0.5 * x, correlation="independent")
        >>> error.zero_drift
        True
    """

    drift: ErrorField | None = None
    diffusion: ErrorField | None = None
    initial: Initial | None = None
    correlation: str | float | Tensor = "shared"
    drift_jvp: ErrorDerivative | None = None
    diffusion_jvp: ErrorDerivative | None = None

    def __post_init__(self) -> None:
        if self.drift is None and self.diffusion is None and self.initial is None:
            raise InvalidArgument("the error is empty: give at least one of drift, diffusion, initial.")
        for name in ("drift", "diffusion", "drift_jvp", "diffusion_jvp"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise InvalidArgument(f"{name} must be a function of (t, x), got {value!r}; wrap a constant in one.")
        rho = self.correlation
        if isinstance(rho, str):
            if rho not in ("shared", "independent"):
                raise InvalidArgument(
                    f"correlation must be 'shared', 'independent', a number or a matrix, got {rho!r}."
                )
        elif isinstance(rho, Tensor) and rho.ndim == 2:
            finite = bool(torch.isfinite(rho).all())
            norm = float(torch.linalg.matrix_norm(rho.double(), 2)) if finite else float("nan")
            # A rotation in float32 has norm 1 up to float32's rounding only.
            if not norm <= 1.0 + (1e-6 if rho.dtype == torch.float32 else 1e-12):
                raise InvalidArgument(f"correlation must have spectral norm at most 1, got {norm:.6g}; scale it down.")
        elif isinstance(rho, Tensor) and rho.ndim != 0:
            raise InvalidArgument(f"correlation must be an (m, m̄) matrix, got shape {tuple(rho.shape)}.")
        elif not isinstance(rho, Tensor | numbers.Real):
            raise InvalidArgument(
                f"correlation must be 'shared', 'independent', a number or a matrix (a torch tensor), "
                f"got {type(rho).__name__}."
            )
        elif not -1.0 <= real("correlation", float(rho)) <= 1.0:
            raise InvalidArgument(f"correlation must lie in [-1, 1], got {float(rho):g}.")

    @property
    def zero_drift(self) -> bool:
        """Whether the error has neither a drift nor an initial part."""
        return self.drift is None and self.initial is None

    def scaled(self, factor: float) -> "RepresentationError":
        """The error with σ, σ̄ and η multiplied by `factor`; a negative one mirrors it."""
        factor = real("factor", factor)
        eta = self.initial

        def times(function: Any) -> Any:
            return None if function is None else (lambda *args: factor * function(*args))

        return RepresentationError(
            times(self.drift),
            times(self.diffusion),
            times(eta) if callable(eta) else (None if eta is None else factor * eta),
            self.correlation,
            times(self.drift_jvp),
            times(self.diffusion_jvp),
        )


@final
@dataclass(frozen=True)
class StepError:
    """A representation error in the units of one step, with its noise split into the base's and its own.

    ω = ξ ρ + ζ (I − ρᵀρ)^½ are the error's normals, ξ the base's and ζ fresh ones.
    """

    drift: Callable[[int, Tensor], Tensor] | None
    diffusion: Callable[[int, Tensor], Tensor] | None
    drift_jvp: Callable[[int, Tensor, Tensor], Tensor] | None
    diffusion_jvp: Callable[[int, Tensor, Tensor], Tensor] | None
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

    def time(n: int, y: Tensor) -> Tensor:
        return torch.tensor(float(n) if grid is None else grid.time(n), dtype=y.dtype, device=y.device)

    def field(function: ErrorField | None, factor: float) -> Callable[[int, Tensor], Tensor] | None:
        return None if function is None else (lambda n, y: factor * function(time(n, y), y))

    def derivative(function: ErrorDerivative | None, factor: float) -> Callable[[int, Tensor, Tensor], Tensor] | None:
        return None if function is None else (lambda n, y, v: factor * function(time(n, y), y, v))

    noise_dim = _check_error_shapes(error, time(0, x), x)
    shared, own = _split(error.correlation, step.noise_dim, noise_dim)
    return StepError(
        field(error.drift, h),
        field(error.diffusion, root),
        derivative(error.drift_jvp, h),
        derivative(error.diffusion_jvp, root),
        error.initial,
        shared,
        own,
        noise_dim,
    )


def _check_error_shapes(error: RepresentationError, t: Tensor, x: Tensor) -> int:
    paths, dim = x.shape
    if error.drift is not None:
        sigma = error.drift(t, x)
        if not isinstance(sigma, Tensor) or sigma.shape != x.shape:
            raise InvalidArgument(
                f"the error's drift must return shape (paths, dim) = {(paths, dim)}, got {_shape(sigma)}; "
                f"for a constant use torch.full_like(x, c)."
            )
        _check_error_dtype("drift", sigma, x)
    if error.diffusion is None:
        return 0
    sigma_bar = error.diffusion(t, x)
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


def add_error(
    error: StepError, eps: float | Tensor, n: int, x: Tensor, mean: Tensor, xi: Tensor, zeta: Tensor | None
) -> Tensor:
    """mean + ε σ + ε σ̄ ω, the error's part of one perturbed step."""
    if error.drift is not None:
        mean = mean + eps * error.drift(n, x)
    if error.diffusion is not None:
        mean = mean + eps * multiply(error.diffusion(n, x), error.normals(xi, zeta))
    return mean


def smallest_eps(dtype: torch.dtype) -> float:
    """The smallest ε at which half the digits of a state difference survive rounding."""
    return float(torch.finfo(dtype).eps ** 0.5)


def check_eps(eps: object, dtype: torch.dtype | None = None) -> float:
    """`eps` as a positive number that `dtype` can resolve."""
    value = positive("eps", eps)
    if dtype is not None and value < smallest_eps(dtype):
        raise InvalidArgument(
            f"eps = {value:g} is below {smallest_eps(dtype):.2g}, where rounding in {dtype} hides the difference of "
            f"two states; use a larger eps{'' if dtype == torch.float64 else ' or float64'}."
        )
    return value


def perturb(system: Any, error: RepresentationError, eps: float, *, x0: Tensor | None = None) -> Any:
    """The system with the error ε added: dx = (g + ε σ) dt + Σ ḡ_k dB^k + ε Σ σ̄_l dW^l, x(0) = x_0 + ε η.

    Independent or partly correlated noise adds columns, so that a diagonal system becomes a general one (then only
    the Euler method is available). The base's Brownian motion stays the first group of columns: with equal seeds the
    base and the perturbed system move on one and the same path.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap` (then the error is per step).
        error: the representation error.
        eps: its size, above zero; mirror an error with `error.scaled(-1)`.
        x0: a state (paths, dim) at which shapes are probed, for systems that do not state their `dim`.

    Returns:
        A `PerturbedSDE`, or a `StepMap` for a `StepMap`.

    Raises:
        InvalidArgument: eps is not above zero, a shape is wrong, or ρ does not fit.
        Refused: the system is Stratonovich, where adding an Itô error has no agreed meaning.

    Example:
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x), correlation="independent")
        >>> perturb(Linear(a=-1.0, b=0.5), error, eps=0.1).noise_type
        'general'
    """
    eps = check_eps(eps)
    if isinstance(system, StepMap):
        return _perturb_step(system, error, eps)
    return PerturbedSDE(system, error, eps, x0)


def _perturb_step(step: StepMap, error: RepresentationError, eps: float) -> StepMap:
    probe = torch.zeros(2, step.dim, dtype=step.dtype or torch.float64)
    local = step_error(error, step, probe, None)

    def mean(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        base = step.mean(n, x, a)
        return base if local.drift is None else base + eps * local.drift(n, x)

    def scale(n: int, x: Tensor, a: Tensor | None) -> Tensor:
        base = step.scale(n, x, a)
        return base if local.diffusion is None else _columns(base, eps * local.diffusion(n, x), local)

    def start(x: Tensor, first: int) -> Tensor:
        x = x if step.start is None else step.start(x, first)
        eta = local.start(x, first)
        return x if eta is None else x + eps * eta

    return replace(
        step,
        mean=mean,
        scale=scale,
        noise_dim=step.noise_dim + local.own_dim,
        derivatives=None,
        start=start,
        noise=_groups(step.noise_groups, local),
    )


def _groups(base: tuple[tuple[str, int], ...], error: StepError) -> tuple[tuple[str, int], ...]:
    return (*base, (f"error-{len(base)}", error.own_dim)) if error.own_dim else base


def _columns(base: Tensor, extra: Tensor, error: StepError) -> Tensor:
    """Columns [ḡ + ε σ̄ ρᵀ | ε σ̄ (I − ρᵀρ)^½] over the noises (ξ, ζ)."""
    if base.ndim == 2 and extra.ndim == 2 and not error.own_dim:
        assert isinstance(error.shared, float)
        return base + error.shared * extra
    base = torch.diag_embed(base) if base.ndim == 2 else base
    extra = torch.diag_embed(extra) if extra.ndim == 2 else extra
    if isinstance(error.shared, Tensor):
        base = base + extra @ error.shared.to(extra).T
    elif error.shared != 0.0:
        base = base + error.shared * extra
    if not error.own_dim:
        return base
    own = extra @ error.own.to(extra) if isinstance(error.own, Tensor) else error.own * extra
    return torch.cat((base, own), dim=2)


@final
class PerturbedSDE(LatentSDE):
    """A system together with an error of size ε; made by `perturb`.

    Attributes:
        base, error, eps: what it was made from.
        noise_groups: (purpose, width) of its noise columns, the base's first.
    """

    def __init__(self, base: Any, error: RepresentationError, eps: float, x0: Tensor | None = None) -> None:
        super().__init__()
        if getattr(base, "sde_type", "ito") != "ito":
            raise Refused(
                f"{type(base).__name__} is Stratonovich: whether the error is to be read in the Itô or the "
                f"Stratonovich sense is not determined; write the base in Itô form."
            )
        dim = getattr(base, "dim", None)
        if x0 is None and not isinstance(dim, int):
            raise InvalidArgument(f"x0 is needed: {type(base).__name__} has no attribute dim; pass a state to perturb.")
        probe = torch.zeros(2, int(dim or 0), dtype=system_dtype(base)) if x0 is None else x0
        self.action_dim = int(getattr(base, "action_dim", 0))
        checked = check_system(base, probe, probe.new_zeros(len(probe), self.action_dim) if self.action_dim else None)
        self.base, self.error, self.eps, self._probe = base, error, eps, x0
        self.dim, self._checked = checked.dim, checked
        step = StepMap(_no_field, _no_field, checked.dim, checked.noise_dim, noise=getattr(base, "noise_groups", ()))
        # A unit step makes the step's units those of time.
        self._local = step_error(error, step, probe, TimeGrid(1.0, 1))
        self.noise_groups = _groups(step.noise_groups, self._local)
        self.noise_dim = checked.noise_dim + self._local.own_dim
        self.noise_type = self._noise_type(checked, probe)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was checked holds closures over the base: a copy, in this process or another, is made anew.
        return PerturbedSDE, (self.base, self.error, self.eps, self._probe)

    def _noise_type(self, checked: CheckedSystem, probe: Tensor) -> str:
        if self.error.diffusion is None:
            return checked.noise_type
        elementwise = self.error.diffusion(torch.zeros((), dtype=probe.dtype), probe).ndim == 2
        if checked.diagonal and elementwise and not self._local.own_dim:
            return "diagonal"
        return "scalar" if self.noise_dim == 1 else "general"

    def f(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """g + ε σ."""
        drift = self._checked.drift(t, x, a)
        return drift if self.error.drift is None else drift + self.eps * self.error.drift(t, x)

    def g(self, t: Tensor, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Columns of the base and the error over (B, error's own noise)."""
        base = self._checked.diffusion(t, x, a)
        if self.error.diffusion is None:
            return base
        return _columns(base, self.eps * self.error.diffusion(t, x), self._local)

    def perturbed_start(self, x: Tensor, first: int = 0) -> Tensor:
        """x_0 + ε η, for rows that begin at path number `first`."""
        inner = getattr(self.base, "perturbed_start", None)
        x = x if inner is None else inner(x, first)
        eta = self._local.start(x, first)
        return x if eta is None else x + self.eps * eta


def _no_field(n: int, x: Tensor, a: Tensor | None) -> Tensor:
    raise NotImplementedError("this step only carries dimensions")
