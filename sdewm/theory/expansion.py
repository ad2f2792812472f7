"""The second-order expansion of a loss in the size of a representation error."""

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from ..dynamics.error import RepresentationError, check_eps
from ..dynamics.start import Start, has_rows
from ..dynamics.variation import Terms
from ..estimate import Estimate
from ..exceptions import InvalidArgument, ToleranceWarning
from ..grid import TimeGrid
from ..hypothesis import Hypothesis
from ..output import frame, plain_fields, table
from ..validation import TensorLike, integer, one_of, positive
from .effect import FORMS as FORMS
from .effect import Effect, Loss, effect_problem, terms_of
from .method import METHODS, Method
from .methods import WORK, fixed, reach

SKEWED = "the replicates are so skewed that intervals may be short even with their correction; take more paths"


class Comparison(NamedTuple):
    """Measured and predicted effect of an error of one size, from one run, and their difference."""

    measured: Estimate
    predicted: Estimate
    remainder: Estimate

    def to_dict(self) -> dict[str, Any]:
        """The three estimates as plain values for JSON."""
        return {name: estimate.to_dict() for name, estimate in self._asdict().items()}

    def to_frame(self) -> Any:
        """The three estimates as the rows of a pandas DataFrame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame({"effect": name, **estimate.to_dict()} for name, estimate in self._asdict().items())

    def _repr_html_(self) -> str:
        return table("effect", ["", "value [95 %]"], [(name, str(value)) for name, value in self._asdict().items()])


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
        flags: what the intervals do not cover: a bias that stays, tamed steps, hypotheses that were not checked.
        hypotheses: what the expansion assumes, each by name and with how it is known.
        method: how the coefficients were estimated, and at what cost.
    """

    P: Estimate
    Q: Estimate
    S: Estimate
    form: str
    corrections: tuple[Estimate, ...]
    flags: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...] = field(repr=False)
    method: Method
    _problem: Effect = field(repr=False)
    _terms: Terms = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Coefficients with their intervals, method, flags and hypotheses, as plain values for JSON."""
        return plain_fields(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each of P, Q and S.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame({"coefficient": name, **estimate.to_dict()} for name, estimate in self._coefficients.items())

    @property
    def _coefficients(self) -> dict[str, Estimate]:
        return {"P": self.P, "Q": self.Q, "S": self.S}

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {estimate}" for name, estimate in self._coefficients.items())
        return "\n".join([f"{self.form}: {numbers}; {self.method}", *(f"  note: {flag}" for flag in self.flags)])

    def _repr_html_(self) -> str:
        rows = [(name, str(estimate)) for name, estimate in self._coefficients.items()]
        return table(f"expansion, {self.form}", ["", "value [95 %]"], rows, (str(self.method), *self.flags))

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
        return problem.moments(members, partial(_effect, problem)).estimates()[0]

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
        members = {"varied": problem.variations(self._terms), "perturbed": problem.perturbed(eps)}
        measured, predicted, *_ = problem.moments(members, partial(_compared, problem, eps)).estimates()
        return Comparison(measured, predicted, measured - predicted)


# What is observed, at module level: so it travels to other processes.


def _effect(problem: Effect, states: Mapping[str, Any]) -> list[Tensor]:
    return [problem.value(states["perturbed"]) - problem.value(states["base"])]


def _compared(problem: Effect, eps: float, states: Mapping[str, Any]) -> list[Tensor]:
    effect = problem.value(states["perturbed"]) - problem.value(states["varied"].x)
    p, q, s = problem.coefficients(states["varied"])
    return [effect, eps * p + eps**2 * (q + 0.5 * s)]


# Paths that hypotheses are checked on where their number is not given.
_PROBES = 4096


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
    actions: TensorLike | None = None,
    dtype: torch.dtype | None = None,
    extrapolate: bool | None = None,
    scheme: str = "auto",
    assume: Sequence[str] = (),
    executor: Executor | None = None,
    method: str | None = None,
    tolerance: float | None = None,
    work: int = WORK,
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
        scheme: "euler"; "tamed", whose drift is bounded by one over the step size (`tame`); or "auto", which tames
            drifts that are declared or seen to grow faster than linearly, and says so in `flags`.
        assume: names of hypotheses that the caller takes on, such as "loss growth"; all are in `hypotheses` of the
            result.
        executor: where to run the blocks of paths: threads, spawned processes (then system, error and loss must be at
            module level; see `sdewm.run.workers`), or another `concurrent.futures.Executor`.
        method: how to estimate with fewer paths; by default "auto" with a tolerance and "plain" without. "plain":
            independent paths. "antithetic": pairs W and −W, whose means are the observations. "controls": regression on
            W_T and W_T² − T of every noise column. "sobol": replicates of scrambled Sobol points through a Brownian
            bridge, whose means are the observations (without a tolerance 64 to 127 replicates of a power of two, and
            paths that are left over are not used). "martingale": independent paths, less the part of their coefficients
            that stochastic integrals along the path explain, with weights from its pilot (`Martingales`): the fewest
            path-steps in few dimensions, each of about twice the time. "multilevel": many paths on coarse grids,
            corrected by few on finer ones. "auto": the one that promises to take the least time: path-steps, by
            pilots, times what one is known to take in that method (`method.weighted`). The last three need a tolerance.
        tolerance: in place of `paths`: the half-width of the 95 % intervals of P and of Q + S/2, relative to their
            values, or to a tenth of their pathwise root mean square where that is more, since no relative interval is
            short around zero. The grid stays as it is: its bias is not part of the interval, and `method.bias` reports
            how large the extrapolation's correction was.
        work: with a tolerance, the cap on path-steps (steps of single paths, coarse twins included). Where it is hit,
            the intervals are wider than asked for, and a warning and `flags` say so.

    Returns:
        An `Expansion`.

    Raises:
        InvalidArgument: a shape or an argument is wrong, or the loss has no derivatives.
        HypothesisFails: a hypothesis is declared or found to be false, before the ensemble is simulated: a loss or
            diffusion that grows too fast, an explosive drift, a kink that is visited, categorical latents.
        Refused: the system is Stratonovich.
        NumericalFailure: a state, or the loss, is not finite.

    Warning:
        The theorem needs three bounded derivatives of drift and diffusion (or polynomial growth with a one-sided
        Lipschitz condition), two of the error, and a loss three times differentiable with polynomial growth. What is
        not declared is probed: growth along rays, kinks between visited states. A probe proves nothing, and what could
        not be probed is named in `flags`. Where a hypothesis fails the remainder need not be of order ε³, or R may be
        infinite while every sample mean is finite.

        The intervals of "sobol" come from few replicates and are corrected for their skewness (`student_bounds`), so
        that they are not symmetric. Measured on x² of one geometric Brownian motion, where one normal decides almost
        everything, those called 95 % cover 93 to 95 %. Where the replicates are too skewed for that, `flags` say so.

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
    terms = terms_of(form, without)
    method = one_of("method", method or ("plain" if tolerance is None else "auto"), ("auto", *METHODS))
    if method == "auto" and tolerance is None:
        raise InvalidArgument(
            "tolerance is needed for method='auto', which chooses what reaches it; give tolerance=0.01, or a method."
        )
    if tolerance is not None:
        positive("tolerance", tolerance)
        integer("work", work, least=1)
        if paths is not None:
            raise InvalidArgument(f"tolerance sets the number of paths itself; leave out paths, got {paths!r}.")
        paths = None if has_rows(x0) else _PROBES
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
    flags = problem.flags
    if tolerance is None:
        problem, found = fixed(problem, terms, method)
        how = found.method(method, "as asked for", grid.steps)
    else:
        problem, found, how = reach(problem, terms, method, tolerance, work)
        if how.short and how.reached is not None:
            wide = max(how.reached)
            short = (
                f"the tolerance {tolerance:g} was not reached: the intervals are {wide:.2g} wide after {how.spent:.3g}"
            )
            flags = (*flags, f"{short} path-steps, and work is {work:.3g}")
            said = f"{flags[-1]}; allow more work, or a larger tolerance"
            warnings.warn(said, ToleranceWarning, stacklevel=2)
    if any(target.skewed for target in found.targets):
        flags = (*flags, SKEWED)
    p, q, s = found.coefficients
    return Expansion(p, q, s, form, found.corrections, flags, problem.hypotheses, how, problem, terms)
