"""First and second variation of a step map in the size of its error."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import one_of
from .derivatives import curve_derivatives, directional
from .error import RepresentationError
from .step_error import StepError, add_error
from .step_map import AutomaticDerivatives, StepDerivatives, StepMap, multiply

DERIVATIVES = ("auto", "formula", "autodiff")


@final
@dataclass(frozen=True)
class Terms:
    """Which terms of the variation equations are kept; all of them is the correct form.

    Attributes:
        ito_correction: False gives the solution of variation of constants *without* its Itô corrections, that is the
            variation of the model with extra drifts Σ_kl ρ_kl G_k σ̄_l in y₁ and, in y₂, Σ_k G_k H_k and
            Σ_kl ρ_kl G_k Dσ̄_l y₁, where H_k is the Hessian term of column k. (Evaluated as this linear equation, never
            by quadrature of Φ∫Φ⁻¹, whose discretisation error would look like a violation.)
        mixed: Dσ y₁ and Dσ̄_l y₁ in y₂.
        drift_hessian: ½D²g[y₁, y₁] in y₂.
        diffusion_hessian: ½D²ḡ_k[y₁, y₁] in y₂.
        half: the factor ½ of both Hessians; False leaves it out.
    """

    ito_correction: bool = True
    mixed: bool = True
    drift_hessian: bool = True
    diffusion_hessian: bool = True
    half: bool = True

    @staticmethod
    def without(*names: str) -> "Terms":
        """All terms but the named ones.

        Raises:
            InvalidArgument: a name is not a term.
        """
        known = [f.name for f in fields(Terms)]
        for name in names:
            one_of("term", name, known)
        return Terms(**dict.fromkeys(names, False))

    @property
    def complete(self) -> bool:
        """Whether nothing is left out."""
        return self == Terms()


class Varied(NamedTuple):
    """A base state and its variations, each (paths, dim)."""

    x: Tensor
    y1: Tensor
    y2: Tensor


@final
@dataclass(frozen=True)
class Variations:
    """A member of a coupled simulation: x⁰ with y₁ = dx^ε/dε and y₂ = ½ d²x^ε/dε² at ε = 0.

    For the Itô system of the package's notation they solve

        dy₁ = (A y₁ + σ) dt + Σ_k G_k y₁ dB^k + Σ_l σ̄_l dW^l,                                          y₁(0) = η
        dy₂ = (A y₂ + ½D²g[y₁,y₁] + Dσ y₁) dt + Σ_k (G_k y₂ + ½D²ḡ_k[y₁,y₁]) dB^k + Σ_l Dσ̄_l y₁ dW^l,   y₂(0) = 0

    with A = Dg, G_k = Dḡ_k along x⁰. Here they are the derivatives of the *step*, so that x^ε = x⁰ + εy₁ + ε²y₂ + O(ε³)
    holds for the simulated map itself, without a discretisation error.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap`.
        error: the representation error (per step for a `StepMap`).
        derivatives: "autodiff" differentiates the perturbed step twice in ε and uses no formula; "formula" uses the
            equations above with the system's hand-written derivatives, or automatic ones where it brings none; "auto"
            takes "formula" for systems with hand-written derivatives and incomplete terms, else "autodiff".
        terms: which terms to keep; leaving some out needs the formula.
        order: 2, or 1 for y₁ alone at half the cost; y₂ is then zero.

    Warning:
        That drift, diffusion and error are three times differentiable is not checked.

    Raises:
        InvalidArgument: `derivatives` or `order` is unknown, or "autodiff" is combined with terms left out.
    """

    system: Any
    error: RepresentationError
    derivatives: str = "auto"
    terms: Terms = Terms()
    order: int = 2

    def __post_init__(self) -> None:
        one_of("derivatives", self.derivatives, DERIVATIVES)
        if not isinstance(self.error, RepresentationError):
            raise InvalidArgument(f"error must be a RepresentationError, got {type(self.error).__name__}.")
        if not isinstance(self.terms, Terms):
            raise InvalidArgument(f"terms must be Terms, got {type(self.terms).__name__}.")
        if self.order not in (1, 2):
            raise InvalidArgument(f"order must be 1 or 2, got {self.order!r}.")
        if self.derivatives == "autodiff" and not self.terms.complete:
            raise InvalidArgument("derivatives='autodiff' always has all terms; use 'formula' to leave some out.")


VariationStep = Callable[[int, Varied, Tensor, "Tensor | None", "Tensor | None"], Varied]


def variation_step(
    step: StepMap, error: StepError, derivatives: str = "auto", terms: Terms = Terms(), order: int = 2
) -> VariationStep:
    """One step of (x⁰, y₁, y₂) as a function of (n, state, ξ, ζ, a)."""
    if derivatives == "autodiff" or (derivatives == "auto" and terms.complete and step.derivatives is None):
        return _autodiff_step(step, error, order)
    return _Formula(step, error, step.derivatives or AutomaticDerivatives(step), terms, order)


def _autodiff_step(step: StepMap, error: StepError, order: int) -> VariationStep:
    def advance(n: int, state: Varied, xi: Tensor, zeta: Tensor | None, a: Tensor | None) -> Varied:
        def perturbed(eps: Tensor) -> Tensor:
            x = state.x + eps * (state.y1 + eps * state.y2)
            return add_error(error, eps, n, x, step.mean(n, x, a) + multiply(step.scale(n, x, a), xi), xi, zeta)

        x, y1, twice_y2 = curve_derivatives(perturbed, state.x, order)
        return Varied(x, y1, 0.5 * twice_y2)

    return advance


@final
@dataclass(frozen=True)
class _Formula:
    step: StepMap
    error: StepError
    derivatives: StepDerivatives
    terms: Terms
    order: int

    def __call__(self, n: int, state: Varied, xi: Tensor, zeta: Tensor | None, a: Tensor | None) -> Varied:
        x, y1, y2 = state
        of, terms, half = self.derivatives, self.terms, 0.5 if self.terms.half else 1.0

        def linear(v: Tensor) -> Tensor:
            return of.mean_jvp(n, x, a, v) + multiply(of.scale_jvp(n, x, a, v), xi)

        next_x = self.step.mean(n, x, a) + multiply(self.step.scale(n, x, a), xi)
        next_y1 = add_error(self.error, 1.0, n, x, linear(y1), xi, zeta)
        if self.error.diffusion is not None and not terms.ito_correction:
            next_y1 = next_y1 + self._correlated_correction(n, x, a, self.error.diffusion(n, x))
        if self.order == 1:
            return Varied(next_x, next_y1, y2)
        next_y2 = linear(y2)
        if terms.drift_hessian:
            next_y2 = next_y2 + half * of.mean_second(n, x, a, y1, y1)
        if terms.diffusion_hessian:
            hessian = half * of.scale_second(n, x, a, y1, y1)
            next_y2 = next_y2 + multiply(hessian, xi)
            if not terms.ito_correction:
                next_y2 = next_y2 + self._correction(n, x, a, hessian)
        if terms.mixed:
            next_y2 = self._add_mixed(next_y2, n, x, y1, xi, zeta, a)
        return Varied(next_x, next_y1, next_y2)

    def _add_mixed(
        self, y2: Tensor, n: int, x: Tensor, y1: Tensor, xi: Tensor, zeta: Tensor | None, a: Tensor | None
    ) -> Tensor:
        drift, diffusion = self.error.drift, self.error.diffusion
        if drift is not None:
            y2 = y2 + error_derivative(drift, self.error.drift_jvp, n, x, y1)
        if diffusion is not None:
            mixed = error_derivative(diffusion, self.error.diffusion_jvp, n, x, y1)
            y2 = y2 + multiply(mixed, self.error.normals(xi, zeta))
            if not self.terms.ito_correction:
                y2 = y2 + self._correlated_correction(n, x, a, mixed)
        return y2

    def _correlated_correction(self, n: int, x: Tensor, a: Tensor | None, columns: Tensor) -> Tensor:
        """Σ_kl ρ_kl G_k v_l for the columns v_l over the error's noise."""
        shared = self.error.shared
        if isinstance(shared, Tensor):
            columns = torch.diag_embed(columns) if columns.ndim == 2 else columns
            return self._correction(n, x, a, columns @ shared.to(x).T)
        return self._correction(n, x, a, shared * columns) if shared != 0.0 else torch.zeros_like(x)

    def _correction(self, n: int, x: Tensor, a: Tensor | None, columns: Tensor) -> Tensor:
        """Σ_k G_k v_k for the columns v_k over the base's noise."""
        columns = torch.diag_embed(columns) if columns.ndim == 2 else columns
        total = torch.zeros_like(x)
        for k in range(columns.shape[2]):
            slope = self.derivatives.scale_jvp(n, x, a, columns[:, :, k])
            if slope.ndim == 2:
                total[:, k] += slope[:, k]
            else:
                total += slope[:, :, k]
        return total


def error_derivative(
    function: Callable[[float, Tensor], Tensor],
    by_hand: Callable[[float, Tensor, Tensor], Tensor] | None,
    n: int,
    x: Tensor,
    v: Tensor,
) -> Tensor:
    if by_hand is not None:
        return by_hand(n, x, v)
    return directional(lambda y: function(n, y), x, v)
