"""The latent representation error."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..hypothesis import Declared, facts_of
from ..validation import positive, real, tensor

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
        correlation: ρ, as "shared" (W = B), "independent", a number c (ρ = c I), or an (m, m̄) matrix. Of both, arrays
            and lists are made tensors.
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
        for name in ("initial", "correlation"):
            value = getattr(self, name)
            if isinstance(value, (np.ndarray, list, tuple)):
                object.__setattr__(self, name, tensor(name, value))
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
                f"correlation must be 'shared', 'independent', a number or a matrix, got {type(rho).__name__}."
            )
        elif not -1.0 <= real("correlation", float(rho)) <= 1.0:
            raise InvalidArgument(f"correlation must lie in [-1, 1], got {float(rho):g}.")

    @property
    def zero_drift(self) -> bool:
        """Whether the error has neither a drift nor an initial part."""
        return self.drift is None and self.initial is None

    @property
    def independent(self) -> bool:
        """Whether the error's noise is independent of the base's."""
        rho = self.correlation
        if isinstance(rho, str):
            return rho == "independent"
        return not bool(rho.any()) if isinstance(rho, Tensor) else float(rho) == 0.0

    def scaled(self, factor: float) -> "RepresentationError":
        """The error with σ, σ̄ and η multiplied by `factor`; a negative one mirrors it."""
        factor = real("factor", factor)
        eta = self.initial

        return RepresentationError(
            _times(self.drift, factor),
            _times(self.diffusion, factor),
            _times(eta, factor) if callable(eta) else (None if eta is None else factor * eta),
            self.correlation,
            _times(self.drift_jvp, factor),
            _times(self.diffusion_jvp, factor),
        )

    def mirrored(self) -> "RepresentationError":
        """The error on the mirrored path −W of its noise; drift and start stay as they are.

        For independent noise −W has the law of W, so that the mean over both is an estimate with less variance.
        """
        return replace(self, diffusion=_times(self.diffusion, -1.0), diffusion_jvp=_times(self.diffusion_jvp, -1.0))


def _times(function: Any, factor: float) -> Any:
    """factor · function, with the function's declared facts."""
    if function is None:
        return None
    facts, scaled = facts_of(function), partial(_scaled, function, factor)
    return scaled if facts is None else Declared(scaled, facts)


def _scaled(function: Any, factor: float, *args: Any) -> Any:
    return factor * function(*args)


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
