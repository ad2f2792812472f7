"""The second-order expansion of a loss in the size of a representation error."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..dynamics.derivatives import curve_derivatives
from ..dynamics.ensemble import Ensemble, map_blocks, prepare
from ..dynamics.error import RepresentationError, check_eps
from ..dynamics.perturbed import perturb
from ..dynamics.start import Start, rows, start_states
from ..dynamics.step_map import StepMap
from ..dynamics.variation import Terms, Variations, Varied
from ..estimate import Estimate, Moments
from ..exceptions import InvalidArgument, NumericalFailure
from ..grid import TimeGrid
from ..validation import one_of

BIASED = "the Euler scheme's bias of first order in the step is not removed"
Loss = Callable[[Tensor], Tensor]

FORMS: Mapping[str, Terms] = {
    "ito": Terms(),
    "uncorrected": Terms.without("ito_correction", "mixed", "half", "drift_hessian"),
    "uncorrected-drift-hessian": Terms.without("ito_correction", "mixed", "half"),
}


class Comparison(NamedTuple):
    """Measured and predicted effect of an error of one size, from one run, and their difference."""

    measured: Estimate
    predicted: Estimate
    remainder: Estimate


@final
@dataclass(frozen=True)
class _Problem:
    """What an expansion was asked for; enough to run it again."""

    system: Any
    error: RepresentationError
    loss: Loss
    x0: Tensor
    grid: TimeGrid
    paths: int
    seed: int
    terms: Terms
    actions: Tensor | None
    extrapolate: int
    executor: Executor | None

    def moments(self, members: Mapping[str, Any], observe: Callable[[Mapping[str, Any]], list[Tensor]]) -> Moments:
        """Moments of the observed columns, followed by their discretisation corrections if there are any."""

        def ensemble(coarsen: int) -> Ensemble:
            return prepare(members, self.x0, self.grid, self.paths, self.seed, actions=self.actions, coarsen=coarsen)

        fine = ensemble(1)
        work = _Columns(fine, ensemble(self.extrapolate) if self.extrapolate > 1 else None, self.extrapolate, observe)
        total: Moments | None = None
        for part in map_blocks(work, fine.blocks, self.executor):
            total = part if total is None else total.merge(part)
        assert total is not None
        return total

    def variations(self) -> Variations:
        return Variations(self.system, self.error, terms=self.terms)

    def perturbed(self, eps: float) -> Any:
        """The system with the error, of a size that the dtype of the states resolves."""
        if isinstance(self.system, StepMap):
            eps = check_eps(eps, self.x0.dtype)
            return perturb(replace(self.system, dtype=self.x0.dtype), self.error, eps)
        return perturb(self.system, self.error, eps, x0=rows(self.x0, 0, min(self.paths, 2)))

    def coefficients(self, state: Varied) -> list[Tensor]:
        """∇ℓᵀy₁, ∇ℓᵀy₂ and y₁ᵀ∇²ℓ y₁ of every path."""
        with torch.enable_grad():
            value = self.value(state.x.detach().requires_grad_())
        if not value.requires_grad:
            raise InvalidArgument(
                "loss does not depend on the states in a way that can be differentiated; leave out detach() and "
                "no_grad(), and use a loss with derivatives."
            )
        value = value.detach()
        _, p, s = curve_derivatives(lambda e: self.loss(state.x + e * state.y1), value)
        _, q, _ = curve_derivatives(lambda e: self.loss(state.x + e * state.y2), value)
        # A loss that is not finite may have finite derivatives, like the logarithm below zero: it must be noticed too.
        return [p + 0.0 * value, q, s]

    def value(self, x: Tensor) -> Tensor:
        """The loss of every path, its shape checked."""
        value = self.loss(x)
        if not isinstance(value, Tensor) or value.shape != x.shape[:1]:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InvalidArgument(
                f"loss must return one number a path, shape {(len(x),)} for states {tuple(x.shape)}, got {got}; "
                f"sum over the last dimension."
            )
        if not value.is_floating_point():
            raise InvalidArgument(f"loss must return floating point numbers, got {value.dtype}.")
        return value


@final
@dataclass(frozen=True)
class _Columns:
    """One block's observed columns, by Richardson's extrapolation in the step size where a coarse twin is given."""

    fine: Ensemble
    coarse: Ensemble | None
    factor: int
    observe: Callable[[Mapping[str, Any]], list[Tensor]]

    def __call__(self, block: int) -> Moments:
        columns = self._values(self.fine, block)
        if self.coarse is not None:
            correction = (columns - self._values(self.coarse, block)) / (self.factor - 1)
            columns = torch.cat((columns + correction, correction), dim=1)
        if not bool(torch.isfinite(columns).all()):
            path = self.fine.span(block)[0] + int((~torch.isfinite(columns)).any(1).nonzero()[0])
            raise NumericalFailure(
                f"the loss or one of its derivatives is not finite: path {path} first, at t = {self.fine.grid.T:g}; "
                f"check the loss at the states that are visited.",
                path,
                self.fine.grid.T,
                int((~torch.isfinite(columns)).any(1).sum()),
            )
        return Moments.of(columns.double().numpy(), self.fine.noise_key)

    def _values(self, ensemble: Ensemble, block: int) -> Tensor:
        (states,) = ensemble.run(block)
        return torch.stack(self.observe(states), dim=1).detach()


@final
@dataclass(frozen=True)
class Expansion:
    """R(ε) = E ℓ(x^ε) − E ℓ(x⁰) = εP + ε²(Q + S/2) + O(ε³), made by `expand`.

    Attributes:
        P: E ∇ℓᵀy₁.
        Q: E ∇ℓᵀy₂.
        S: E y₁ᵀ∇²ℓ y₁.
        form: the form of the coefficients, "ito" for the correct one.
        corrections: by how much the extrapolation in the step size has moved P, Q and S; empty without it.
        flags: what the intervals do not cover.
    """

    P: Estimate
    Q: Estimate
    S: Estimate
    form: str
    corrections: tuple[Estimate, ...]
    flags: tuple[str, ...]
    _problem: _Problem = field(repr=False)

    def predict(self, eps: float) -> Estimate:
        """εP + ε²(Q + S/2), with an interval from the joint covariance of P, Q and S."""
        eps = check_eps(eps)
        return eps * self.P + eps**2 * (self.Q + 0.5 * self.S)

    def measure(self, eps: float, seed: int | None = None) -> Estimate:
        """R(ε) from x⁰ and x^ε simulated on one Brownian path, without any formula.

        Args:
            eps: size of the error, above zero.
            seed: by default that of the expansion; then the result cannot be combined with P, Q, S (use `compare`).

        Raises:
            InvalidArgument: eps is not above zero, or too small for the dtype.
        """
        problem = self._problem if seed is None else replace(self._problem, seed=seed)
        members = {"base": problem.system, "perturbed": problem.perturbed(eps)}
        return problem.moments(
            members, lambda states: [problem.value(states["perturbed"]) - problem.value(states["base"])]
        ).estimates()[0]

    def compare(self, eps: float) -> Comparison:
        """Measured and predicted R(ε) on the same paths; their difference is the remainder, with a small interval.

        Raises:
            InvalidArgument: eps is not above zero, or so small that rounding hides a remainder of order ε³.
        """
        problem = self._problem
        least = 10.0 * torch.finfo(problem.x0.dtype).eps ** (1 / 3)
        if check_eps(eps) < least:
            raise InvalidArgument(
                f"eps = {eps:g} is below {least:.2g}, where rounding in {problem.x0.dtype} hides a remainder of order "
                f"eps**3; use a larger eps{'' if problem.x0.dtype == torch.float64 else ' or float64'}."
            )
        members = {"varied": problem.variations(), "perturbed": problem.perturbed(eps)}

        def observe(states: Mapping[str, Any]) -> list[Tensor]:
            effect = problem.value(states["perturbed"]) - problem.value(states["varied"].x)
            p, q, s = problem.coefficients(states["varied"])
            return [effect, eps * p + eps**2 * (q + 0.5 * s)]

        measured, predicted, *_ = problem.moments(members, observe).estimates()
        return Comparison(measured, predicted, measured - predicted)


def expand(
    system: Any,
    error: RepresentationError,
    loss: Loss,
    x0: Start,
    grid: TimeGrid,
    paths: int | None = None,
    seed: int = 0,
    *,
    form: str = "ito",
    without: Sequence[str] = (),
    actions: Tensor | None = None,
    dtype: torch.dtype | None = None,
    extrapolate: bool | None = None,
    executor: Executor | None = None,
) -> Expansion:
    """The coefficients P, Q, S of E ℓ(x^ε) − E ℓ(x⁰) = εP + ε²(Q + S/2) + O(ε³), each with an interval.

    Args:
        system: a `LatentSDE`, any torchsde SDE, or a `StepMap` (then the error is per step).
        error: the representation error: drift, diffusion and initial part, with any correlation.
        loss: ℓ, states (paths, dim) to (paths,), at the grid's end.
        x0: start: a number, (dim,) or (paths, dim).
        grid: time grid.
        paths: number of paths; not needed if x0 has one row a path.
        seed: whole number >= 0.
        form: "ito", the correct one; "uncorrected", the paper's P', Q', S' as reconstructed: no Itô correction, Q' from
            second derivatives of the diffusion only, without the factor ½ and without the mixed terms Dσ y₁, Dσ̄ y₁;
            "uncorrected-drift-hessian", its other reading, with the drift's second derivatives too.
        without: names of single terms to leave out of the form: "ito_correction", "mixed", "drift_hessian",
            "diffusion_hessian", "half".
        actions: (steps, action_dim) or (steps, paths, action_dim).
        dtype: dtype of the states; by default that of a tensor x0, else of the system.
        extrapolate: combine the grid with the one of k times the step on the same paths, (k X_h − X_kh)/(k − 1), which
            removes the Euler scheme's bias of first order in the step, for half as much work again; k is the smallest
            of 2, 3, 5 that divides the number of steps. By default wherever that is possible: not for a `StepMap`
            (which is exact as it is), nor under actions. Where the bias stays, `flags` says so, and a warning if
            another number of steps would do.
        executor: where to run the blocks of paths.

    Returns:
        An `Expansion`.

    Raises:
        InvalidArgument: a shape or an argument is wrong, or the loss has no derivatives.
        Refused: the system is Stratonovich.
        NumericalFailure: a state, or the loss, is not finite.

    Warning:
        Not checked: three bounded derivatives of drift and diffusion (or polynomial growth with a one-sided Lipschitz
        condition), two of the error, all moments of the start, a loss three times differentiable with polynomial
        growth. Where they fail (a kink that is visited, an exponential loss, an explosive drift) the remainder need
        not be of order ε³, or R may be infinite while every sample mean is finite.

    Source: Fang, Du, Wang, Zhang, arXiv:2501.00195, the loss expansion (as reconstructed); Lim, Erichson, Hodgkinson,
    Mahoney, Noisy Recurrent Neural Networks, arXiv:2102.04877.

    Example:
        >>> from sdewm.drifts import Linear
        >>> error = RepresentationError(diffusion=lambda t, x: torch.ones_like(x))
        >>> e = expand(Linear(a=-0.5, b=0.6), error, lambda x: (x**2).sum(-1), 1.0, TimeGrid(1.0, 64), paths=20_000)
        >>> low, high = e.P.interval(0.999)
        >>> low < 0.67918 < high
        True
    """
    one_of("form", form, FORMS)
    without = (without,) if isinstance(without, str) else tuple(without)
    Terms.without(*without)  # refuses unknown names
    terms = replace(FORMS[form], **dict.fromkeys(without, False))
    if not isinstance(error, RepresentationError):
        raise InvalidArgument(f"error must be a RepresentationError, got {type(error).__name__}.")
    if not isinstance(grid, TimeGrid):
        raise InvalidArgument(f"grid must be a TimeGrid, got {type(grid).__name__}.")
    if not callable(loss):
        raise InvalidArgument(f"loss must be a function of the states (paths, dim), got {loss!r}.")
    x, paths = start_states(x0, system, paths, dtype)
    factor = 1 if isinstance(system, StepMap) or actions is not None else _factor(grid.steps)
    if extrapolate and factor == 1:
        raise InvalidArgument(
            "extrapolate=True needs a differential equation without actions, and a number of steps that 2, 3 or 5 "
            f"divides, got {grid.steps} steps; leave it at None."
        )
    if extrapolate is False or factor == 1:
        factor = 1
        flags = () if isinstance(system, StepMap) else (BIASED,)
        if extrapolate is None and flags and actions is None:
            warnings.warn(f"{BIASED}: {grid.steps} steps are not divisible by 2, 3 or 5; choose others", stacklevel=2)
    else:
        flags = ()
    problem = _Problem(
        system,
        error,
        loss,
        x,
        grid,
        paths,
        seed,
        terms,
        actions,
        factor,
        executor,
    )
    problem.perturbed(1.0)  # refuses what cannot be measured either
    moments = problem.moments({"varied": problem.variations()}, lambda states: problem.coefficients(states["varied"]))
    p, q, s, *corrections = moments.estimates()
    return Expansion(p, q, s, form, tuple(corrections), flags, problem)


def _factor(steps: int) -> int:
    """The smallest of 2, 3 and 5 that divides the number of steps, or 1."""
    return next((k for k in (2, 3, 5) if steps % k == 0), 1)
